import { useTranslation } from "react-i18next";
import { Link, useParams } from "react-router";
import type { PromptItem } from "../log/events";
import { IconButton } from "../parts/Button";
import { Icon } from "../parts/Icon";
import { toast } from "../parts/toast";
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

/** The files that the prompt came with, each a way to its content. */
function Attached({ paths }: { paths: readonly string[] }) {
  const { t } = useTranslation();
  const { session } = useParams();
  return (
    <ul className={styles.attached} aria-label={t("composer.attached")}>
      {paths.map((path) => (
        <li key={path}>
          <Link className={styles.attachment} to={`/s/${session}/files/${path.split("/").map(encodeURIComponent).join("/")}`} title={path}>
            <Icon name="attach" size={14} />
            {path.slice(path.lastIndexOf("/") + 1)}
          </Link>
        </li>
      ))}
    </ul>
  );
}
