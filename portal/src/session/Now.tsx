import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useWhy } from "../api/queries";
import { useFromLog } from "../live";
import type { RunState, SessionState } from "../log/events";
import { liveRun } from "../log/rows";
import { Button } from "../parts/Button";
import { Dot } from "../parts/Status";
import { bytes, duration, useNow } from "../words/numbers";
import { whyOf } from "../words/server";
import styles from "./Now.module.css";
import { kindOf } from "./verbs";
import { WhyDialog } from "./Why";

const SLOW_MS = 4_000;

/** One line: what happens at this moment, for how long, and, when something waits, why. */
export function Now({ sessionId }: { sessionId: string }) {
  const run = useFromLog(sessionId, liveRun);
  if (!run || run.status === "waiting") return null;
  return <RunNow key={run.runId} run={run} sessionId={sessionId} />;
}

function RunNow({ run, sessionId }: { run: RunState; sessionId: string }) {
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
        {useWords(run, sessionId)} <span className={styles.time}>{duration(now - Date.parse(since))}</span>
        {isSlow && why.data && <span className={styles.why}> · {whyOf(why.data)}</span>}
      </span>
      {isSlow && <Button look="quiet" onClick={() => setAsking(true)}>{t("why.title")}</Button>}
      {isAsking && <WhyDialog kind="runs" id={run.runId} onClose={() => setAsking(false)} />}
    </div>
  );
}

function useWords(run: RunState, sessionId: string): string {
  const { t } = useTranslation();
  const worker = useFromLog(sessionId, (state) => state.worker);
  const doing = useFromLog(sessionId, (state) => doingOf(run.runId, state));
  if (worker?.phase === "restoring") return t("now.restoring", { size: bytes(worker.total), done: worker.total ? Math.round((100 * worker.done) / worker.total) : 0 });
  if (worker?.phase === "starting") return t("now.workerStarts");
  if (run.status === "queued") return t("now.starting");
  if (run.status === "parked") return t("now.parked");
  if (run.status === "retrying") return t("now.retrying", { attempt: run.attempt + 1 });
  if (run.status === "cancelling") return t("now.cancelling");
  return t(`now.${doing}`);
}

function doingOf(runId: string, { items, order }: SessionState): "thinking" | "answering" | "working" | ReturnType<typeof kindOf> {
  for (let at = order.length - 1; at >= 0; at--) {
    const item = items.get(order[at] ?? "");
    if (!item || item.runId !== runId) break;
    if (item.kind === "thought" && !item.isDone) return "thinking";
    if (item.kind === "answer" && !item.isDone) return "answering";
    if (item.kind === "tool" && item.endedAt === null) return kindOf(item.toolKind);
  }
  return "working";
}
