/** What the whole tab shares: the hub, the outbox, and a feed for each session that was opened lately. */
import type { InfiniteData } from "@tanstack/react-query";
import { useEffect, useSyncExternalStore } from "react";
import { call, type Problem } from "./api/client";
import { keys, queries } from "./api/queries";
import type { Page, Session } from "./api/types";
import type { Envelope, SessionState, TextItem } from "./log/events";
import { Feed, nextFrame } from "./log/feed";
import { Hub, type Frame } from "./log/hub";
import { Outbox, type Entry } from "./log/outbox";
import { readBeginning, readTranscript } from "./log/transcript";
import { learnNames } from "./session/who";
import { learnPresent, type PresentUser } from "./session/present";

const KEPT_FEEDS = 6;
const PAGE = 1000;

const wsOrigin = location.origin.replace(/^http/, "ws");
export const hub = new Hub(`${wsOrigin}/api/ws`, () => void call("/api/me").catch(() => undefined));

export const outbox = new Outbox(localStorage);
outbox.onAccepted = (entry) => {
  void queries.invalidateQueries({ queryKey: entry.kind === "answer" ? ["requests"] : ["sessions"] });
};

const feeds = new Map<string, Feed>();

export function feedOf(sessionId: string): Feed {
  const known = feeds.get(sessionId);
  if (known) return known;
  const read = (after: number) =>
    call<{ items: Envelope[]; nextCursor?: number | null }>(`/api/sessions/${sessionId}/events`, { query: { after, limit: PAGE } });
  const feed = new Feed(read, nextFrame);
  feeds.set(sessionId, feed);
  const oldest = feeds.keys().next().value;
  if (feeds.size > KEPT_FEEDS && oldest && oldest !== sessionId) feeds.delete(oldest);
  return feed;
}

/** The session's whole state, live while the component is there: what calls it is drawn with each word. */
export function useFeed(sessionId: string): { feed: Feed; state: SessionState } {
  const feed = useOpenFeed(sessionId);
  const state = useSyncExternalStore(feed.watch, () => feed.state);
  return { feed, state };
}

/** A part of an open session's state; what shows it is drawn anew only when that part changed. */
export function useFromLog<Part>(sessionId: string, part: (state: SessionState) => Part): Part {
  const feed = feedOf(sessionId);
  return useSyncExternalStore(feed.watch, () => part(feed.state));
}

/** A text as it is now: it may have grown since its row was made. */
export function useGrowing(sessionId: string, known: TextItem): TextItem {
  const item = useFromLog(sessionId, (state) => state.items.get(known.id));
  return item && "isDone" in item && item.lastSeq >= known.lastSeq ? item : known;
}

/** The session's feed, live while the component is there; drawn anew when it is read, cannot be, or goes further back. */
export function useOpenFeed(sessionId: string): Feed {
  const feed = feedOf(sessionId);
  useSyncExternalStore(feed.watch, () => feed.isLoaded);
  useSyncExternalStore(feed.watch, () => feed.failure);
  useSyncExternalStore(feed.watch, () => feed.prevCursor);
  useEffect(() => {
    let leave = (): void => undefined;
    let isHere = true;
    void begin(sessionId, feed)
      .catch(() => undefined)
      .finally(() => {
        if (isHere) leave = hub.join(sessionId, feed);
      });
    return () => {
      isHere = false;
      leave();
    };
  }, [sessionId, feed]);
  return feed;
}

/** The server's transcript first, then what the log has beyond it. */
async function begin(sessionId: string, feed: Feed): Promise<void> {
  if (feed.isLoaded) return feed.catchUp();
  try {
    const beginning = await readBeginning(sessionId);
    learnNames(beginning.users);
    feed.begin(beginning);
  } catch (error) {
    feed.fail(error);
    throw error;
  }
  return feed.catchUp();
}

/** Older items, when the reader comes near the beginning of what is here. */
export function readOlder(sessionId: string): Promise<void> {
  return feedOf(sessionId).readOlder(async (before) => {
    const page = await readTranscript(sessionId, before);
    learnNames(page.users);
    return page;
  });
}

export function useOutbox() {
  return useSyncExternalStore(outbox.watch, () => outbox.entries);
}

/** Frames that are not of an open session: what of the server's state is old now. */
export function followServer(): void {
  hub.listen((frame) => {
    if (frame.kind === "session") sessionChanged(frame);
    if (frame.kind === "session_deleted") void queries.invalidateQueries({ queryKey: ["sessions"] });
    if (frame.kind === "request") void queries.invalidateQueries({ queryKey: ["requests"] });
    if (frame.kind === "presence") learnPresent(String(frame.sessionId), frame.users as PresentUser[]);
    if (frame.kind === "hello") {
      void queries.invalidateQueries({ queryKey: ["sessions"] });
      void queries.invalidateQueries({ queryKey: ["requests"] });
      outbox.sendAll();
    }
  });
  addEventListener("online", () => outbox.sendAll());
  outbox.sendAll();
}

type Listed = InfiniteData<Page<Session>>;

/** A row that is on the page changes in place; one that is not may belong to it, so the list is read again. */
function sessionChanged(frame: Frame): void {
  const session = frame as unknown as Session;
  queries.setQueryData(keys.session(session.sessionId), session);
  for (const [key, list] of queries.getQueriesData<Listed>({ queryKey: ["sessions"] })) {
    const isThere = list?.pages.some((page) => page.items.some((one) => one.sessionId === session.sessionId));
    if (!list || !isThere) {
      void queries.invalidateQueries({ queryKey: key });
      continue;
    }
    const swap = (one: Session): Session => (one.sessionId === session.sessionId ? session : one);
    queries.setQueryData<Listed>(key, { ...list, pages: list.pages.map((page) => ({ ...page, items: page.items.map(swap) })) });
  }
}

/** A refused prompt is given back to the composer; a refused answer leaves its question open. Both say why. */
export function onRefusal(tell: (entry: Entry, problem: Problem) => void): void {
  outbox.onRefused = tell;
}
