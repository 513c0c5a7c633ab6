import { useTranslation } from "react-i18next";
import { useGrowing } from "../live";
import type { TextItem } from "../log/events";
import { IconButton } from "../parts/Button";
import { toast } from "../parts/toast";
import { Markdown } from "./markdown/Markdown";
import styles from "./Rows.module.css";

export function Answer({ sessionId, item: known }: { sessionId: string; item: TextItem }) {
  const { t } = useTranslation();
  const item = useGrowing(sessionId, known);
  const copy = (): void => void navigator.clipboard.writeText(item.text).then(() => toast(t("common.copied")));
  return (
    <article className={styles.answer} aria-label={t("chat.answer")}>
      <Markdown text={item.text} isDone={item.isDone} />
      {item.isDone && (
        <div className={styles.answerTools}>
          <IconButton icon="copy" label={t("chat.copyAnswer")} onClick={copy} />
        </div>
      )}
    </article>
  );
}
