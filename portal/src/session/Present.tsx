import { useTranslation } from "react-i18next";
import { list } from "../words/numbers";
import styles from "./Present.module.css";
import { initialsOf, useOthers } from "./present";

const SHOWN = 3;

/** Who else reads this session now. */
export function Present({ sessionId }: { sessionId: string }) {
  const { t } = useTranslation();
  const others = useOthers(sessionId);
  if (others.length === 0) return null;
  const said = t("chat.present", { who: list(others.map((one) => one.name)), count: others.length });
  return (
    <span className={styles.present} role="img" aria-label={said} title={said}>
      {others.slice(0, SHOWN).map((one) => <span key={one.userId} className={styles.one} aria-hidden="true">{initialsOf(one.name)}</span>)}
      {others.length > SHOWN && <span className={styles.rest} aria-hidden="true">+{others.length - SHOWN}</span>}
    </span>
  );
}
