import { useTranslation } from "react-i18next";
import { duration, useNow } from "../words/numbers";
import styles from "./AskCard.module.css";
import type { Ask } from "./asked";

const KNOWN = new Set(["park", "deny", "escalate"]);

/** When nobody answers: what happens, and in how long. */
export function Countdown({ ask }: { ask: Ask }) {
  const { t } = useTranslation();
  const now = useNow(1000, ask.expiresAt !== null && !ask.isParked);
  if (!ask.expiresAt || ask.isParked || !KNOWN.has(ask.onExpiry)) return null;
  const left = Math.max(0, Date.parse(ask.expiresAt) - now);
  const text = left > 3_600_000 ? Math.round(left / 60_000) * 60_000 : left;
  return <span className={styles.countdown}>{t(`ask.expiry.${ask.onExpiry as "park"}`, { time: duration(text) })}</span>;
}
