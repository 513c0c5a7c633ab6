import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { Empty } from "../parts/Note";
import { Page } from "./Page";

export function NotFound() {
  const { t } = useTranslation();
  return (
    <Page title={t("shell.notFound")}>
      <Empty title={t("shell.notFoundNote")}>
        <Link to="/">{t("shell.toStart")}</Link>
      </Empty>
    </Page>
  );
}
