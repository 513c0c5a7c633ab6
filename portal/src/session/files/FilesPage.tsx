import { useTranslation } from "react-i18next";
import { Link, useParams } from "react-router";
import { useSession } from "../../api/queries";
import { useFeed } from "../../live";
import { ErrorNote } from "../../parts/Note";
import { Page } from "../../shell/Page";
import { Files } from "./Files";
import { usePageView } from "./view";

/** The files of a session, as large as the window. */
export function FilesPage() {
  const { session = "" } = useParams();
  const { t } = useTranslation();
  const { state } = useFeed(session);
  const { data, error } = useSession(session);
  const view = usePageView(session);
  return (
    <Page title={`${t("panel.files")} · ${data?.title || t("sessions.untitled")}`} isFilled actions={<Link to={`/s/${session}`}>{t("panel.toChat")}</Link>}>
      {error && !data ? <ErrorNote error={error} /> : <Files key={session} sessionId={session} state={state} view={view} />}
    </Page>
  );
}
