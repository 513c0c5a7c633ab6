import { useTranslation } from "react-i18next";
import { Link, useParams } from "react-router";
import { useSession } from "../../api/queries";
import { useFeed } from "../../live";
import { Page } from "../../shell/Page";
import { Timeline } from "./Timeline";

export function TimelinePage() {
  const { session = "" } = useParams();
  const { t } = useTranslation();
  const { state } = useFeed(session);
  const { data } = useSession(session);
  return (
    <Page title={`${t("panel.timeline")} · ${data?.title ?? ""}`} isWide actions={<Link to={`/s/${session}`}>{t("panel.toChat")}</Link>}>
      <Timeline sessionId={session} state={state} />
    </Page>
  );
}
