import { Component, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Button } from "../parts/Button";
import { Empty } from "../parts/Note";
import styles from "./Broken.module.css";

/** The portal itself failed: say what, and begin again. A new build whose old parts are gone ends here too. */
export class Broken extends Component<{ children: ReactNode }, { error: unknown }> {
  override state = { error: null as unknown };

  static getDerivedStateFromError(error: unknown): { error: unknown } {
    return { error };
  }

  override render(): ReactNode {
    return this.state.error === null ? this.props.children : <Failure error={this.state.error} />;
  }
}

function Failure({ error }: { error: unknown }) {
  const { t } = useTranslation();
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
