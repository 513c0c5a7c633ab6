import { useTranslation } from "react-i18next";
import { useRouteError } from "react-router";
import { Button } from "../parts/Button";
import { Empty } from "../parts/Note";
import styles from "./Broken.module.css";

/** The portal itself failed: say what, and begin again. A new build whose old parts are gone ends here too. */
export function Broken() {
  const { t } = useTranslation();
  const error = useRouteError();
  const sentence = error instanceof Error ? error.message : "";
  const isOld = /import|module|chunk/i.test(sentence);
  return (
    <div className={styles.broken} role="alert">
      <Empty title={t(isOld ? "shell.newBuild" : "shell.broken")}>
        {!isOld && <code>{sentence}</code>}
        <Button look="primary" onClick={() => location.reload()}>{t("shell.reload")}</Button>
      </Empty>
    </div>
  );
}
