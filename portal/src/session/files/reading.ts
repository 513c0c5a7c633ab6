/** What the files page reads from the API. A state that cannot change any more is read once. */
import { keepPreviousData, useQueries, useQuery, useQueryClient, type UseQueryResult } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { call } from "../../api/client";
import type { ContentAnswer, DiffAnswer, Page, Run, SearchAnswer, TreeAnswer } from "../../api/types";
import type { SessionState } from "../../log/events";
import type { Listing } from "./tree";
import { keyOf, numbered, queryOf, type Comparison, type NumberedRun, type Which } from "./which";

const PAGE = 500;
const CHANGES_PAGE = 200;
const MOST_RUNS = 2000;
const NEWS_MS = 800;

const staleOf = (which: Which): number => (which.kind === "newest" ? 15_000 : Number.POSITIVE_INFINITY);

export interface FolderReading {
  listings: ReadonlyMap<string, Listing | "failed">;
  root: UseQueryResult<TreeAnswer>;
}

/** The listings of these folders; `pages` says how many pages of a long one are wanted. */
export function useFolders(sessionId: string, which: Which, folders: readonly string[], pages: Readonly<Record<string, number>>): FolderReading {
  const cache = useQueryClient();
  const answers = useQueries({
    queries: folders.map((path) => {
      const wanted = pages[path] ?? 1;
      const key = (count: number) => ["files", sessionId, keyOf(which), "tree", path, count];
      return {
        queryKey: key(wanted),
        queryFn: ({ signal }: { signal: AbortSignal }) => readFolder(sessionId, which, path, wanted, signal),
        placeholderData: () => (wanted > 1 ? cache.getQueryData<TreeAnswer>(key(wanted - 1)) : undefined),
        staleTime: staleOf(which),
      };
    }),
  });
  const root = answers[folders.indexOf("")] as UseQueryResult<TreeAnswer>;
  const listings = new Map<string, Listing | "failed">();
  answers.forEach(({ data, error }, at) => {
    const path = folders[at] ?? "";
    if (data) listings.set(path, { items: data.items, hasMore: Boolean(data.nextCursor), hidden: data.hidden ?? 0 });
    else if (error) listings.set(path, "failed");
  });
  return { listings, root };
}

async function readFolder(sessionId: string, which: Which, path: string, pages: number, signal: AbortSignal): Promise<TreeAnswer> {
  const read = (cursor?: string | null) =>
    call<TreeAnswer>("/api/files/tree", { query: { sessionId, ...queryOf(which), path, limit: PAGE, cursor }, signal });
  let whole = await read();
  for (let page = 1; page < pages && whole.nextCursor; page++) {
    const next = await read(whole.nextCursor);
    whole = { ...next, items: [...whole.items, ...next.items], hidden: (whole.hidden ?? 0) + (next.hidden ?? 0) };
  }
  return whole;
}

export function useContent(sessionId: string, which: Which, path: string, { isOn }: { isOn: boolean }) {
  return useQuery({
    enabled: isOn,
    queryKey: ["files", sessionId, keyOf(which), "content", path],
    queryFn: ({ signal }) => call<ContentAnswer>("/api/files/content", { query: { sessionId, ...queryOf(which), path }, signal }),
    staleTime: staleOf(which),
  });
}

export type SearchIn = "names" | "text";

export function useFound(sessionId: string, which: Which, text: string, place: SearchIn) {
  return useQuery({
    queryKey: ["files", sessionId, keyOf(which), "search", place, text],
    queryFn: ({ signal }) => call<SearchAnswer>("/api/files/search", { query: { sessionId, ...queryOf(which), q: text, in: place }, signal }),
    enabled: text !== "",
    placeholderData: keepPreviousData,
    staleTime: staleOf(which),
  });
}

export function useChanges(sessionId: string, { from, to }: Comparison) {
  return useQuery({
    queryKey: ["files", sessionId, "changes", from, to],
    queryFn: async ({ signal }) => {
      const read = (cursor?: string | null) =>
        call<DiffAnswer>("/api/files/diff", { query: { sessionId, from, to, limit: CHANGES_PAGE, cursor }, signal });
      let whole = await read();
      while (whole.nextCursor && whole.files.length < 5 * CHANGES_PAGE) {
        const next = await read(whole.nextCursor);
        whole = { ...next, files: [...whole.files, ...next.files] };
      }
      return whole;
    },
    staleTime: Number.POSITIVE_INFINITY,
  });
}

export function useChange(sessionId: string, { from, to }: Comparison, path: string) {
  return useQuery({
    queryKey: ["files", sessionId, "change", from, to, path],
    queryFn: ({ signal }) => call<DiffAnswer>("/api/files/diff", { query: { sessionId, from, to, path }, signal }),
    staleTime: Number.POSITIVE_INFINITY,
  });
}

/** A value once it has rested: a search does not begin with every letter. */
export function useRested(value: string, ms = 250): string {
  const [rested, setRested] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setRested(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return rested;
}

/** The session's runs, newest first, each with its number. */
export function useNumberedRuns(sessionId: string): NumberedRun[] | undefined {
  const { data } = useQuery({
    queryKey: ["files", sessionId, "runs"],
    queryFn: async ({ signal }) => {
      const items: Run[] = [];
      let cursor: Page<Run>["nextCursor"] = null;
      while (items.length < MOST_RUNS) {
        const answer: Page<Run> = await call<Page<Run>>(`/api/sessions/${sessionId}/runs`, { query: { limit: 200, cursor }, signal });
        items.push(...answer.items);
        cursor = answer.nextCursor;
        if (!cursor) break;
      }
      return items;
    },
  });
  return useMemo(() => data && numbered(data), [data]);
}

/** What the agent does may change files: read again what is shown, but not at every word. */
export function useFileNews(sessionId: string, state: SessionState): void {
  const cache = useQueryClient();
  let tools = 0;
  for (const item of state.items.values()) if (item.kind === "tool" && item.status !== "pending" && item.status !== "in_progress") tools++;
  const news = `${tools} ${state.liveRunId ?? ""} ${state.saved?.at ?? ""}`;
  useEffect(() => {
    const timer = setTimeout(() => {
      void cache.invalidateQueries({ queryKey: ["files", sessionId, "newest"] });
      void cache.invalidateQueries({ queryKey: ["files", sessionId, "runs"] });
      void cache.invalidateQueries({ queryKey: ["snapshots", sessionId] });
      void cache.invalidateQueries({ queryKey: ["session", sessionId] });
    }, NEWS_MS);
    return () => clearTimeout(timer);
  }, [cache, sessionId, news]);
}
