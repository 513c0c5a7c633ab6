/** The files that a mention may mean, and the keys that choose one of them. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useState, type KeyboardEvent } from "react";
import { call } from "../api/client";
import type { FileItem, SearchAnswer, TreeAnswer } from "../api/types";
import { useRested } from "./files/reading";
import { mentionAt, partsOf, withMention, type Written } from "./mention";

const MOST = 8;
const REST_MS = 120;

export interface Mentioning {
  items: readonly FileItem[];
  at: number;
  isOpen: boolean;
  choose: (item: FileItem) => void;
  /** Whether the key was the list's. */
  press: (event: KeyboardEvent) => boolean;
  follow: (cursor: number) => void;
}

/** Without a session there are no files to mention. */
export function useMentioning(sessionId: string | undefined, text: string, write: (written: Written) => void): Mentioning {
  const [cursor, follow] = useState(0);
  const [closed, close] = useState<string | null>(null);
  const [at, move] = useState(0);
  const mention = sessionId ? mentionAt(text, cursor) : null;
  const query = mention?.query ?? "";
  const items = useCandidates(sessionId, query, mention !== null);
  const mark = mention ? `${mention.from} ${mention.query}` : "";
  const isOpen = mention !== null && items.length > 0 && closed !== mark;
  useEffect(() => move(0), [query]);
  const choose = (item: FileItem): void => {
    if (mention) write(withMention(text, mention, cursor, item.kind === "folder" ? `${item.path}/` : item.path));
  };
  const press = (event: KeyboardEvent): boolean => {
    const item = items[at];
    if (!isOpen || !item || event.ctrlKey || event.metaKey || event.altKey) return false;
    if (event.key === "ArrowDown") move((at + 1) % items.length);
    else if (event.key === "ArrowUp") move((at + items.length - 1) % items.length);
    else if ((event.key === "Enter" && !event.shiftKey) || event.key === "Tab") choose(item);
    else if (event.key === "Escape") close(mark);
    else return false;
    event.preventDefault();
    return true;
  };
  return { items, at, isOpen, choose, press, follow };
}

function useCandidates(sessionId: string | undefined, query: string, isOn: boolean): readonly FileItem[] {
  const rested = useRested(query, REST_MS);
  const { data } = useQuery({
    enabled: isOn,
    queryKey: ["files", sessionId, "newest", "mention", rested],
    queryFn: ({ signal }) => candidates(sessionId ?? "", rested, signal),
    placeholderData: keepPreviousData,
    retry: false,
  });
  return isOn ? (data ?? []) : [];
}

/** Names anywhere in the workspace; after a slash, and before anything is typed, what the folder has. */
async function candidates(sessionId: string, query: string, signal: AbortSignal): Promise<FileItem[]> {
  const { folder, name } = partsOf(query);
  if (query !== "" && folder === "") {
    const found = await call<SearchAnswer>("/api/files/search", { query: { sessionId, q: query, limit: MOST }, signal });
    return found.items.filter(isText);
  }
  const tree = await call<TreeAnswer>("/api/files/tree", { query: { sessionId, path: folder }, signal });
  const fits = (item: FileItem): boolean => isText(item) && item.name.toLowerCase().startsWith(name.toLowerCase());
  return tree.items.filter(fits).slice(0, MOST);
}

/** A name that is no text cannot stand in a prompt. */
const isText = (item: FileItem): boolean => !item.path.startsWith("base64:");

