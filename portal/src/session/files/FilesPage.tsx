import { useTranslation } from "react-i18next";
import { Link, useParams } from "react-router";
import { useSession } from "../../api/queries";
import { useFeed } from "../../live";
import { Page } from "../../shell/Page";
import { Files } from "./Files";

export function FilesPage() {
  const { session = "", "*": path = "" } = useParams();
  const { t } = useTranslation();
  const { state } = useFeed(session);
  const { data } = useSession(session);
  return (
    <Page title={`${t("panel.files")} · ${data?.title ?? ""}`} isWide actions={<Link to={`/s/${session}`}>{t("panel.toChat")}</Link>}>
      <Files sessionId={session} state={state} path={path} isWide />
    </Page>
  );
}
