/** What the rest of the tab learns from an open session. */
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import { queries } from "../api/queries";
import type { SessionState } from "../log/events";
import { announce } from "../shell/announce";

const READ_AFTER_MS = 800;

/** What is on the screen of a tab that is looked at has been read. */
export function useMarkRead(sessionId: string, seq: number): void {
  useEffect(() => {
    if (seq === 0) return;
    const timer = setTimeout(() => {
      if (document.visibilityState === "visible") call(`/api/sessions/${sessionId}/read`, { method: "PUT", body: { seq } }).catch(() => undefined);
    }, READ_AFTER_MS);
    return () => clearTimeout(timer);
  }, [sessionId, seq]);
}

/** Say when a run starts and ends, and have lists read again. */
export function useRunNews(state: SessionState): void {
  const { t } = useTranslation();
  const before = useRef<string | null | undefined>(undefined);
  const run = state.liveRunId ? state.runs.get(state.liveRunId) : undefined;
  const mark = run ? `${run.runId} ${run.status}` : "";
  const ended = [...state.runs.values()].at(-1)?.status;
  useEffect(() => {
    if (before.current !== undefined && before.current !== mark) {
      if (run?.status === "running") announce(t("chat.started"));
      if (!run && (ended === "succeeded" || ended === "failed")) announce(t(ended === "failed" ? "chat.failed" : "chat.finished"));
      for (const key of ["sessions", "session", "requests", "worker", "snapshots", "queue"]) void queries.invalidateQueries({ queryKey: [key] });
    }
    before.current = mark;
  }, [mark, run, ended, t]);
}
