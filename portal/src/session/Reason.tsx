import { useTranslation } from "react-i18next";
import type { Reason as Given } from "../log/events";
import { reasonOf } from "../words/server";
import styles from "./Rows.module.css";

/** Why a run ended, in the reader's language; the server's own words, which may say more, are a click away. */
export function Reason({ reason }: { reason: Given }) {
  const sentence = reasonOf(reason);
  return (
    <div className={styles.reason}>
      <p>{sentence}</p>
      {sentence !== reason.message && <Original words={reason.message} />}
    </div>
  );
}

export function Original({ words }: { words: string }) {
  const { t } = useTranslation();
  return (
    <details className={styles.original}>
      <summary>{t("common.original")}</summary>
      <p lang="en">{words}</p>
    </details>
  );
}
