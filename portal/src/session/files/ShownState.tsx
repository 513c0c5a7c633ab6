import { useTranslation } from "react-i18next";
import { useSnapshots } from "../../api/queries";
import type { ShownState as State } from "../../api/types";
import { Icon } from "../../parts/Icon";
import { dateTime, timeOfDay } from "../../words/numbers";
import { translated } from "../../words/server";
import styles from "./ShownState.module.css";
import { useStateName } from "./StateBar";
import { useChanges } from "./reading";
import type { Comparison, NumberedRun, Which } from "./which";

interface ShownStateProps {
  sessionId: string;
  state: State | undefined;
  which: Which;
  runs: NumberedRun[];
}

/** Which state the files below are of, as of when, and why it is not the live one. */
export function ShownState({ sessionId, state, which, runs }: ShownStateProps) {
  const { t } = useTranslation();
  const snapshots = useSnapshots(sessionId).data?.items ?? [];
  const nameOf = useStateName(runs, snapshots);
  if (!state) return null;
  const isLive = state.state === "live";
  const name = nameOf(state.runId ?? state.snapshotId ?? "");
  return (
    <p className={styles.shown} role="status">
      <span className={isLive ? styles.live : styles.saved}><Icon name={isLive ? "refresh" : "saved"} size={14} /> {isLive ? t("files.live") : t("files.savedOf", { name })}</span>
      <time className={styles.when} dateTime={state.asOf}>{t("files.asOf", { when: isLive ? timeOfDay(state.asOf) : dateTime(state.asOf) })}</time>
      {state.exact === false && <span className={styles.note}>{t("files.notExact")}</span>}
      {state.notLive && which.kind === "newest" && <span className={styles.not}><Icon name="warn" size={14} /> {t("files.notLive", { reason: translated("problem", state.notLive.code, { detail: state.notLive.message }) ?? state.notLive.message })}</span>}
    </p>
  );
}

/** Of a comparison: that a side is not the end of its run. */
export function ComparedState({ sessionId, comparison }: { sessionId: string; comparison: Comparison }) {
  const { t } = useTranslation();
  const { data } = useChanges(sessionId, comparison);
  return <p className={styles.shown} role="status">{data?.exact === false && <span className={styles.note}>{t("files.sideNotExact")}</span>}</p>;
}
