import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { IconButton } from "../parts/Button";
import { toast } from "../parts/toast";
import styles from "./Ops.module.css";

interface OfSessionProps {
  row: { sessionId: string; sessionTitle?: string | null; userName?: string | null };
}

/** A session by its title, with its id to copy. One that is not ours to see is named by its owner and leads nowhere. */
export function OfSession({ row: { sessionId, sessionTitle, userName } }: OfSessionProps) {
  const { t } = useTranslation();
  const isSeen = typeof sessionTitle === "string";
  const copy = (): void => void navigator.clipboard.writeText(sessionId).then(() => toast(t("common.copied")));
  return (
    <span className={styles.session}>
      {isSeen ? <Link className={styles.title} to={`/s/${sessionId}`} title={sessionTitle}>{sessionTitle || t("sessions.untitled")}</Link> : <span className={styles.title}>{t("ops.private", { name: userName ?? "–" })}</span>}
      <IconButton className={styles.id} icon="copy" label={t("ops.copyId", { id: sessionId })} onClick={copy} />
    </span>
  );
}
