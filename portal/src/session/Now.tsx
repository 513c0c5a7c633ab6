import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useWhy } from "../api/queries";
import type { RunState, SessionState, ToolItem } from "../log/events";
import { Button } from "../parts/Button";
import { Dot } from "../parts/Status";
import { bytes, duration, useNow } from "../words/numbers";
import { whyOf } from "../words/server";
import styles from "./Now.module.css";
import { kindOf } from "./verbs";
import { WhyDialog } from "./Why";

const SLOW_MS = 4_000;

/** One line: what happens at this moment, for how long, and, when something waits, why. */
export function Now({ state }: { state: SessionState }) {
  const run = state.liveRunId ? state.runs.get(state.liveRunId) : undefined;
  if (!run || run.status === "waiting") return null;
  return <RunNow key={run.runId} run={run} state={state} />;
}

function RunNow({ run, state }: { run: RunState; state: SessionState }) {
  const { t } = useTranslation();
  const now = useNow(1000);
  const [isAsking, setAsking] = useState(false);
  const since = run.startedAt ?? run.queuedAt;
  const isSlow = run.status !== "running" && now - Date.parse(since) > SLOW_MS;
  const why = useWhy("runs", run.runId, isSlow);
  return (
    <div className={styles.now}>
      <Dot status={run.status === "queued" ? "starting" : run.status} />
      <span className={styles.words}>
        {useWords(run, state)} <span className={styles.time}>{duration(now - Date.parse(since))}</span>
        {isSlow && why.data && <span className={styles.why}> · {whyOf(why.data)}</span>}
      </span>
      {isSlow && <Button look="quiet" onClick={() => setAsking(true)}>{t("why.title")}</Button>}
      {isAsking && <WhyDialog kind="runs" id={run.runId} onClose={() => setAsking(false)} />}
    </div>
  );
}

function useWords(run: RunState, { worker, items, order }: SessionState): string {
  const { t } = useTranslation();
  if (worker?.phase === "restoring") return t("now.restoring", { size: bytes(worker.total), done: worker.total ? Math.round((100 * worker.done) / worker.total) : 0 });
  if (worker?.phase === "starting") return t("now.workerStarts");
  if (run.status === "queued") return t("now.starting");
  if (run.status === "parked") return t("now.parked");
  if (run.status === "retrying") return t("now.retrying", { attempt: run.attempt + 1 });
  if (run.status === "cancelling") return t("now.cancelling");
  for (let at = order.length - 1; at >= 0; at--) {
    const item = items.get(order[at] ?? "");
    if (!item || item.runId !== run.runId) break;
    if (item.kind === "thought" && !item.isDone) return t("now.thinking");
    if (item.kind === "answer" && !item.isDone) return t("now.answering");
    if (item.kind === "tool" && item.endedAt === null) return t(`now.${kindOf((item as ToolItem).toolKind)}`);
  }
  return t("now.working");
}
