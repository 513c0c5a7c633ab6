/** What the rest of the tab learns from an open session. */
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import { queries } from "../api/queries";
import { feedOf, useFromLog } from "../live";
import { liveRun } from "../log/rows";
import { announce } from "../shell/announce";

const READ_AFTER_MS = 800;

/** What is on the screen of a tab that is looked at has been read. */
export function useMarkRead(sessionId: string): void {
  useEffect(() => {
    const feed = feedOf(sessionId);
    let known = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = (): void => {
      const { seq } = feed.state;
      if (seq === known) return;
      known = seq;
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (document.visibilityState === "visible") call(`/api/sessions/${sessionId}/read`, { method: "PUT", body: { seq } }).catch(() => undefined);
      }, READ_AFTER_MS);
    };
    look();
    const leave = feed.watch(look);
    return () => {
      leave();
      clearTimeout(timer);
    };
  }, [sessionId]);
}

/** Say when a run starts and ends, and have lists read again. */
export function useRunNews(sessionId: string): void {
  const { t } = useTranslation();
  const run = useFromLog(sessionId, liveRun);
  const ended = useFromLog(sessionId, ({ runs }) => [...runs.values()].at(-1)?.status);
  const before = useRef<string | null | undefined>(undefined);
  const mark = run ? `${run.runId} ${run.status}` : "";
  useEffect(() => {
    if (before.current !== undefined && before.current !== mark) {
      if (run?.status === "running") announce(t("chat.started"));
      if (!run && (ended === "succeeded" || ended === "failed")) announce(t(ended === "failed" ? "chat.failed" : "chat.finished"));
      for (const key of ["sessions", "session", "requests", "worker", "snapshots", "queue"]) void queries.invalidateQueries({ queryKey: [key] });
    }
    before.current = mark;
  }, [mark, run, ended, t]);
}
