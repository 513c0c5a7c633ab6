import { useTranslation } from "react-i18next";
import { useNavigate, useParams } from "react-router";
import { Skeleton } from "../parts/Note";
import { Tabs } from "../parts/Tabs";
import { Page } from "../shell/Page";
import { useMe } from "../api/queries";
import { Audit } from "./Audit";
import { Providers } from "./Providers";
import { Rules } from "./Rules";
import { Runs } from "./Runs";
import { Workers } from "./Workers";

const AREAS = ["workers", "queue", "stuck", "providers", "rules", "audit"] as const;
type Area = (typeof AREAS)[number];

/** What an operator watches and moves. */
export function Operations() {
  const { t } = useTranslation();
  const go = useNavigate();
  const { area: asked } = useParams();
  const me = useMe();
  const mayAudit = me.data?.permissions.includes("audit:read") ?? false;
  const areas = AREAS.filter((one) => one !== "audit" || mayAudit);
  const area: Area = areas.find((one) => one === asked) ?? "workers";
  if (me.isPending) return <Page title={t("shell.operations")} isWide><Skeleton /></Page>;
  return (
    <Page title={t("shell.operations")} isWide>
      <Tabs label={t("shell.operations")} value={area} tabs={areas.map((value) => ({ value, label: t(`ops.${value}`) }))} onChange={(next) => void go(`/ops/${next}`, { replace: true })}>
        {area === "workers" && <Workers />}
        {area === "queue" && <Runs key="queue" kind="queue" />}
        {area === "stuck" && <Runs key="stuck" kind="stuck" />}
        {area === "providers" && <Providers />}
        {area === "rules" && <Rules />}
        {area === "audit" && <Audit />}
      </Tabs>
    </Page>
  );
}
