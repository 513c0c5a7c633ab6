import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { SessionState } from "../../log/events";
import { Files } from "./Files";
import styles from "./FilesPane.module.css";
import { addressOf, usePaneView } from "./view";

/** The files beside the conversation; the link goes to the same place on the page. */
export function FilesPane({ sessionId, state }: { sessionId: string; state: SessionState }) {
  const { t } = useTranslation();
  const view = usePaneView();
  return (
    <div className={styles.pane}>
      <Files sessionId={sessionId} state={state} view={view} />
      <Link className={styles.link} to={addressOf(sessionId, view)}>{t("files.whole")}</Link>
    </div>
  );
}
