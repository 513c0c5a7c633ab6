import { useTranslation } from "react-i18next";
import type { AskedItem } from "../log/events";
import { Icon } from "../parts/Icon";
import { Ago } from "../parts/Ago";
import styles from "./Rows.module.css";
import { useWho } from "./who";

/** A question that was settled: what was asked, who decided, and why. */
export function Asked({ item }: { item: AskedItem }) {
  const { t } = useTranslation();
  const who = useWho(item.by);
  const decision = item.decision ?? "cancel";
  const isYes = decision === "allow" || decision === "allow_always" || decision === "answer";
  return (
    <div className={styles.step}>
      <div className={styles.line}>
        <span className={isYes ? styles.sign : styles.signIll}><Icon name={isYes ? "check" : "cross"} /></span>
        <span className={styles.verb}>{t(`decision.${decision}`, { who })}</span>
        <span className={styles.what}>{item.title}</span>
        {item.decidedAt && <span className={styles.time}><Ago at={item.decidedAt} isSaid /></span>}
      </div>
      {item.reason && <p className={styles.reason}>{item.reason}</p>}
      {item.answers !== null && item.answers !== undefined && <p className={styles.reason}>{answersOf(item.answers)}</p>}
    </div>
  );
}

function answersOf(answers: unknown): string {
  if (typeof answers !== "object" || answers === null) return String(answers);
  return Object.values(answers).map((one) => (typeof one === "object" ? JSON.stringify(one) : String(one))).join(", ");
}
