/** How the open session's saving stands, kept fresh: header, list and files show the same facts in the same words. */
import { useEffect } from "react";
import type { TFunction } from "i18next";
import { keys, queries, useSession, useWorker } from "./api/queries";
import { savingOf, type Saving } from "./log/saving";
import { useFromLog } from "./live";
import type { IconName } from "./parts/Icon";

/** A save that found nothing new leaves no event: until all is saved, the server is asked again. */
const ASK_AGAIN_MS = 5_000;

/** Of a session that is open. */
export function useSaving(sessionId: string): Saving {
  const session = useSession(sessionId).data;
  const worker = useWorker(sessionId).data;
  const liveRunId = useFromLog(sessionId, (state) => state.liveRunId);
  const saved = useFromLog(sessionId, (state) => state.saved);
  const phase = useFromLog(sessionId, (state) => state.worker);
  const changedSeq = useFromLog(sessionId, (state) => state.changedSeq);
  const saving = savingOf({ session, worker, log: { liveRunId, saved, worker: phase, changedSeq } });
  const isDue = liveRunId === null && saving.state !== "saved" && saving.state !== "nothing";
  useEffect(() => {
    void queries.invalidateQueries({ queryKey: keys.session(sessionId) });
    void queries.invalidateQueries({ queryKey: keys.worker(sessionId) });
  }, [sessionId, liveRunId, saved, changedSeq]);
  useEffect(() => {
    if (!isDue) return;
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") void queries.invalidateQueries({ queryKey: keys.session(sessionId) });
    }, ASK_AGAIN_MS);
    return () => clearInterval(timer);
  }, [sessionId, isDue]);
  return saving;
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
