import { useTranslation } from "react-i18next";
import { useGrowing } from "../live";
import type { TextItem } from "../log/events";
import { Icon } from "../parts/Icon";
import { Markdown } from "./markdown/Markdown";
import { useOpen } from "./opened";
import styles from "./Rows.module.css";

/** One line; the whole of it in place. */
export function Thought({ sessionId, item: known }: { sessionId: string; item: TextItem }) {
  const { t } = useTranslation();
  const item = useGrowing(sessionId, known);
  const [isOpen, toggle] = useOpen(item.id);
  const first = item.text.trim().split("\n")[0] ?? "";
  return (
    <div className={styles.step}>
      <button type="button" className={styles.line} aria-expanded={isOpen} onClick={toggle} data-keep>
        <span className={styles.sign}><Icon name="thought" /></span>
        <span className={styles.verb}>{t(item.isDone ? "chat.thought" : "chat.thinking")}</span>
        <span className={styles.soft}>{isOpen ? "" : first}</span>
      </button>
      {isOpen && <div className={styles.inside}><Markdown text={item.text} isDone={item.isDone} /></div>}
    </div>
  );
}
