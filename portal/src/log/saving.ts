/** Up to where a session's work is saved: one answer for its header, its row in the list and its files. Pure. */
import type { Session, Worker } from "../api/types";
import type { SessionState } from "./events";

export interface SavingFacts {
  /** The session as the server told it last; undefined before it was read. */
  session: Pick<Session, "saved" | "live" | "lastSeq"> | undefined;
  /** What the log of an open session says. */
  log?: Pick<SessionState, "liveRunId" | "saved" | "worker" | "changedSeq">;
  worker?: { status: string; sync: Pick<Worker["sync"], "failures" | "headSnapshot" | "savedUpToRunNumber"> } | null | undefined;
}

export interface Saving {
  state: "unknown" | "nothing" | "unsaved" | "saving" | "saved" | "failed" | "lost";
  /** The run that the newest snapshot is of; null when it is of no run, or when there is none. */
  run: number | null;
}

/** `saved` only when no run is at work and the server has looked after the last change: an older answer does not count. */
export function savingOf({ session, log, worker }: SavingFacts): Saving {
  if (!session?.saved) return { state: "unknown", run: null };
  const run = Math.max(session.saved.savedUpToRunNumber ?? 0, log?.saved?.runNumber ?? 0, worker?.sync.savedUpToRunNumber ?? 0) || null;
  const isAtWork = Boolean(session.live) || Boolean(log?.liveRunId);
  const isCurrent = session.lastSeq >= (log?.changedSeq ?? 0);
  if (worker?.status === "lost") return { state: "lost", run };
  if (session.saved.isSaved && isCurrent && !isAtWork) {
    const hasSnapshot = run !== null || Boolean(log?.saved?.snapshotId ?? worker?.sync.headSnapshot);
    return { state: hasSnapshot ? "saved" : "nothing", run };
  }
  if (log?.saved?.failure || (worker?.sync.failures ?? 0) > 0) return { state: "failed", run };
  return { state: log?.worker?.phase === "saving" ? "saving" : "unsaved", run };
}
