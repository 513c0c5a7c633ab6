/** How the open session's saving stands, kept fresh: header, list and files show the same facts in the same words. */
import { useEffect } from "react";
import type { TFunction } from "i18next";
import { keys, queries, useSession, useWorker } from "./api/queries";
import type { Session, Worker } from "./api/types";
import { savingOf, type Saving } from "./log/saving";
import { onFacts, Upkeep } from "./log/upkeep";
import { feedOf, useFromLog } from "./live";
import type { IconName } from "./parts/Icon";

/** A save that found nothing new leaves no event: until all is saved, the server is asked again. */
const ASK_AGAIN_MS = 5_000;

const upkeep = new Upkeep((sessionId) => {
  const leave = onFacts(feedOf(sessionId), ({ liveRunId, saved, changedSeq }) => [liveRunId, saved, changedSeq], () => {
    void queries.invalidateQueries({ queryKey: keys.session(sessionId) });
    void queries.invalidateQueries({ queryKey: keys.worker(sessionId) });
  });
  const timer = setInterval(() => {
    if (document.visibilityState === "visible" && isDue(sessionId)) void queries.invalidateQueries({ queryKey: keys.session(sessionId) });
  }, ASK_AGAIN_MS);
  return () => {
    leave();
    clearInterval(timer);
  };
});

function isDue(sessionId: string): boolean {
  const { liveRunId, saved, worker: phase, changedSeq } = feedOf(sessionId).state;
  const session = queries.getQueryData<Session>(keys.session(sessionId));
  const worker = queries.getQueryData<Worker | null>(keys.worker(sessionId));
  const { state } = savingOf({ session, worker, log: { liveRunId, saved, worker: phase, changedSeq } });
  return liveRunId === null && state !== "saved" && state !== "nothing";
}

/** Of a session that is open. */
export function useSaving(sessionId: string): Saving {
  const session = useSession(sessionId).data;
  const worker = useWorker(sessionId).data;
  const liveRunId = useFromLog(sessionId, (state) => state.liveRunId);
  const saved = useFromLog(sessionId, (state) => state.saved);
  const phase = useFromLog(sessionId, (state) => state.worker);
  const changedSeq = useFromLog(sessionId, (state) => state.changedSeq);
  useEffect(() => upkeep.join(sessionId), [sessionId]);
  return savingOf({ session, worker, log: { liveRunId, saved, worker: phase, changedSeq } });
}

const ICONS: Record<Saving["state"], IconName> = { unknown: "clock", nothing: "saved", unsaved: "clock", saving: "refresh", saved: "check", failed: "warn", lost: "warn" };

export const iconOfSaving = ({ state }: Saving): IconName => ICONS[state];

export function wordsOfSaving({ state, run }: Saving, t: TFunction): string {
  switch (state) {
    case "nothing":
      return t("saved.nothing");
    case "saving":
      return t("saved.saving");
    case "saved":
      return run === null ? t("saved.saved") : t("saved.upTo", { number: run });
    case "failed":
      return run === null ? t("saved.failed") : t("saved.failedAfter", { number: run });
    case "lost":
      return run === null ? t("saved.lost") : t("saved.lostAfter", { number: run });
    default:
      return run === null ? t("saved.dirty") : t("saved.partly", { number: run });
  }
}
