/** Which file, state or comparison is shown: on the page it stands in the address, in the pane it is the pane's own. */
import { useState } from "react";
import { useNavigate, useParams, useSearchParams } from "react-router";
import { comparisonOf, NEWEST, searchOf, whichOf, type Comparison, type Which } from "./which";

export interface FilesPlace {
  path: string;
  which: Which;
  comparison: Comparison | null;
}

export interface FilesView extends FilesPlace {
  go: (change: Partial<FilesPlace>) => void;
}

export function addressOf(sessionId: string, { path, which, comparison }: FilesPlace): string {
  const below = path ? `/${path.split("/").map(encodeURIComponent).join("/")}` : "";
  return `/s/${sessionId}/files${below}${searchOf(which, comparison)}`;
}

export function usePageView(sessionId: string): FilesView {
  const { "*": path = "" } = useParams();
  const [search] = useSearchParams();
  const navigate = useNavigate();
  const place: FilesPlace = { path, which: whichOf(search), comparison: comparisonOf(search) };
  return { ...place, go: (change) => void navigate(addressOf(sessionId, { ...place, ...change })) };
}

export function usePaneView(): FilesView {
  const [place, setPlace] = useState<FilesPlace>({ path: "", which: NEWEST, comparison: null });
  return { ...place, go: (change) => setPlace((before) => ({ ...before, ...change })) };
}
