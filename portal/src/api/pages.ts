/** Lists in pages. A page may have fewer rows than were asked for: only its cursor says that more follow. */
import { call } from "./client";
import type { AskedRequest, Page, SessionQueue } from "./types";

const MOST_PAGES = 10;

type Cursor = string | number | null | undefined;

/** The first pages of a list as one. Its `nextCursor` is there when even more rows follow. */
export async function readPages<P extends Page<unknown>>(read: (cursor: Cursor) => Promise<P>): Promise<P> {
  let whole = await read(undefined);
  for (let page = 1; page < MOST_PAGES && whole.nextCursor != null; page++) {
    const next = await read(whole.nextCursor);
    whole = { ...whole, items: [...whole.items, ...next.items], nextCursor: next.nextCursor };
  }
  return whole;
}

/** What waits for this person, oldest first. */
export function readPending(signal: AbortSignal): Promise<Page<AskedRequest>> {
  return readPages((cursor) => call<Page<AskedRequest>>("/api/human-loop/pending", { query: { cursor }, signal }));
}

export function readQueue(sessionId: string, signal?: AbortSignal): Promise<SessionQueue> {
  return readPages((cursor) => call<SessionQueue>(`/api/sessions/${sessionId}/queue`, { query: { cursor }, ...(signal && { signal }) }));
}

/** How many rows a list has, as far as it was read: `7`, or `2000+` where more follow. */
export function countOf(list: Page<unknown> | undefined): string {
  return list?.items.length ? `${list.items.length}${list.nextCursor == null ? "" : "+"}` : "";
}
