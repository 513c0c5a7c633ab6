import { useTranslation } from "react-i18next";
import { useStore } from "zustand";
import { connection } from "../log/hub";
import { useNow } from "../words/numbers";
import styles from "./Connection.module.css";

const DOT_AFTER_MS = 2_000;
const WORDS_AFTER_MS = 10_000;

/** Silent while all is well; a dot after two seconds without a connection, words after ten. */
export function Connection() {
  const { t } = useTranslation();
  const { standing, since } = useStore(connection);
  const isAway = standing === "away" || standing === "connecting";
  const now = useNow(1000, isAway);
  const gone = now - since;
  if (!isAway || gone < DOT_AFTER_MS) return null;
  return (
    <span className={styles.away} role="status" title={t("shell.reconnecting")}>
      <span className={styles.dot} aria-hidden="true" />
      <span className={gone < WORDS_AFTER_MS ? "unseen" : styles.words}>{t("shell.reconnecting")}</span>
    </span>
  );
}
