import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Problem } from "../api/client";
import { adviceFor } from "../problems";
import { sentenceOf } from "../words/server";
import { Button } from "./Button";
import { Icon } from "./Icon";
import styles from "./Note.module.css";

/** What went wrong, what to do, and the trace to tell an operator. */
export function ErrorNote({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const { t } = useTranslation();
  const advice = error instanceof Problem ? adviceFor(error.code) : null;
  return (
    <div className={styles.ill} role="alert">
      <Icon name="warn" />
      <div className={styles.words}>
        <p>{sentenceOf(error)}</p>
        {advice && <p className={styles.soft}>{t(advice)}</p>}
        {error instanceof Problem && error.traceId && <p className={styles.trace}>{t("problem.trace", { id: error.traceId })}</p>}
      </div>
      {onRetry && <Button onClick={onRetry}>{t("common.retry")}</Button>}
    </div>
  );
}

/** Nothing here yet: what will be, and the first step. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className={styles.empty}>
      <p className={styles.title}>{title}</p>
      {children}
    </div>
  );
}

/** Grey lines that appear only when something takes longer than a blink. */
export function Skeleton({ lines = 4 }: { lines?: number }) {
  const { t } = useTranslation();
  return (
    <div className={styles.skeleton} role="status" aria-label={t("common.loading")}>
      {Array.from({ length: lines }, (_, at) => <span key={at} className={styles.bone} />)}
    </div>
  );
}
