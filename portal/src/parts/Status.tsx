import { useTranslation } from "react-i18next";
import type { RunStatus } from "../log/events";
import styles from "./Status.module.css";

const TONE: Record<string, string | undefined> = {
  running: "live",
  starting: "live",
  waiting: "warn",
  parked: "warn",
  retrying: "warn",
  cancelling: "warn",
  blocked: "ill",
  failed: "ill",
  succeeded: "good",
  active: "good",
};

/** A dot whose colour and shape both tell; its word beside it, or for screen readers only. */
export function Dot({ status, label }: { status: string; label?: string }) {
  return (
    <span className={`${styles.dot} ${styles[TONE[status] ?? "calm"]}`} role={label ? "img" : undefined} aria-label={label} aria-hidden={label ? undefined : true} />
  );
}

export function RunStatusLabel({ status }: { status: RunStatus | "idle" }) {
  const { t } = useTranslation();
  return (
    <span className={styles.status}>
      <Dot status={status} />
      {t(`status.${status}`)}
    </span>
  );
}
