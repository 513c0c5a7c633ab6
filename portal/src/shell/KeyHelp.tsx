import { useTranslation } from "react-i18next";
import { KEYS, type KeyName } from "../keys";
import { Dialog } from "../parts/Dialog";
import styles from "./KeyHelp.module.css";

/** Every key, as the table has it. */
export function KeyHelp({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Dialog isOpen onClose={onClose} title={t("keys.title")}>
      <dl className={styles.list}>
        {(Object.keys(KEYS) as KeyName[]).map((name) => (
          <div key={name} className={styles.row}>
            <dt>{t(`keys.${name}`)}</dt>
            <dd>{KEYS[name].split(" ").map((key, at) => <kbd key={at} className={styles.key}>{capOf(key)}</kbd>)}</dd>
          </div>
        ))}
        {(["enter", "interrupt", "stop", "editLast"] as const).map((name) => (
          <div key={name} className={styles.row}>
            <dt>{t(`keys.${name}`)}</dt>
            <dd><kbd className={styles.key}>{t(`keys.${name}Key`)}</kbd></dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}

/** As keyboards write it: `Ctrl K`, `Shift A`, `A`. */
const capOf = (key: string): string => key.replace(/\b[a-z]$/, (letter) => letter.toUpperCase()).replace("+", " ");
