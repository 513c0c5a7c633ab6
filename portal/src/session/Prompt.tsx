import { useTranslation } from "react-i18next";
import type { PromptItem } from "../log/events";
import { IconButton } from "../parts/Button";
import { toast } from "../parts/toast";
import { Attached } from "./Attached";
import styles from "./Rows.module.css";

interface PromptProps {
  item: Pick<PromptItem, "text" | "attachments">;
  /** Still on its way to the server. */
  isSending?: boolean;
}

export function Prompt({ item, isSending }: PromptProps) {
  const { t } = useTranslation();
  const copy = (): void => void navigator.clipboard.writeText(item.text).then(() => toast(t("common.copied")));
  return (
    <div className={styles.prompt}>
      <div className={styles.promptTools}>
        <IconButton icon="copy" label={t("chat.copyPrompt")} onClick={copy} />
      </div>
      <div className={`${styles.bubble} ${isSending ? styles.sending : ""}`}>
        <span className="unseen">{t("chat.you")}</span>
        {item.text}
        {item.attachments && <Attached paths={item.attachments} />}
        {isSending && <span className={styles.state}>{t("chat.sending")}</span>}
      </div>
    </div>
  );
}
