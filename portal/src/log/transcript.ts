/** The server's fold of a session's log: read it with what runs and waits now, and go on from it. */
import { call } from "../api/client";
import { readQueue } from "../api/pages";
import type { Run, SessionQueue, Transcript } from "../api/types";
import type { Item, RunState, SessionState, TodoGroup } from "./events";
import { CHANGES_FILES, EMPTY } from "./reduce";

const SHOWN_FIRST = 60;

export function readTranscript(sessionId: string, before?: number): Promise<Transcript> {
  return call<Transcript>(`/api/sessions/${sessionId}/transcript`, { query: { limit: SHOWN_FIRST, before } });
}

export interface Beginning {
  state: SessionState;
  users: Record<string, string>;
  prevCursor: number | null;
}

/** The transcript comes first: what is read after it may be newer, and events that come again change nothing. */
export async function readBeginning(sessionId: string): Promise<Beginning> {
  const transcript = await readTranscript(sessionId);
  const [queue, todos] = await Promise.all([
    readQueue(sessionId),
    call<{ groups: TodoGroup[] }>(`/api/sessions/${sessionId}/todos`),
  ]);
  return { state: fromTranscript(transcript, queue, todos.groups), users: transcript.users, prevCursor: transcript.prevCursor ?? null };
}

export function fromTranscript(transcript: Pick<Transcript, "items" | "seq">, queue: SessionQueue, todos: TodoGroup[]): SessionState {
  const waiting = queue.items.map((item) => runOf({ ...item, status: "queued", attempt: item.attempts }));
  const runs = [...(queue.live ? [runOf(queue.live)] : []), ...waiting];
  return {
    ...EMPTY,
    seq: transcript.seq,
    items: new Map(transcript.items.map((item) => [item.id, item])),
    order: transcript.items.map((item) => item.id),
    rowsSeq: transcript.seq,
    runs: new Map(runs.map((run) => [run.runId, run])),
    todos: new Map(todos.map((group) => [group.groupId, group])),
    changedSeq: Math.max(0, ...transcript.items.filter(changesFiles).map((item) => item.lastSeq)),
    queue: waiting.map((run) => run.runId),
    liveRunId: queue.live?.runId ?? null,
  };
}

const changesFiles = (item: Item): boolean => item.kind === "run" || (item.kind === "notice" && CHANGES_FILES.has(item.type));

export function withOlder(state: SessionState, older: readonly Item[]): SessionState {
  const fresh = older.filter((item) => !state.items.has(item.id));
  return {
    ...state,
    items: new Map([...fresh.map((item) => [item.id, item] as const), ...state.items]),
    order: [...fresh.map((item) => item.id), ...state.order],
  };
}

type Told = Pick<Run, "runId" | "provider" | "status" | "prompt" | "attempt" | "createdAt" | "startedAt"> & { userId?: string; attachments?: string[] };

function runOf(run: Told): RunState {
  return {
    runId: run.runId,
    provider: run.provider,
    author: run.userId ? `user:${run.userId}` : "system",
    status: run.status,
    attempt: run.attempt,
    prompt: run.prompt,
    ...(run.attachments?.length && { attachments: run.attachments }),
    queuedAt: run.createdAt,
    startedAt: run.startedAt ?? null,
    endedAt: null,
    reason: null,
    nextAttemptAt: null,
  };
}
