import { useTranslation } from "react-i18next";
import { IconButton } from "../parts/Button";
import { Icon } from "../parts/Icon";
import styles from "./Uploads.module.css";
import type { UploadList } from "./uploads";

/** What goes with the next prompt; a refused file says why and can be tried again. */
export function Uploads({ uploads }: { uploads: UploadList }) {
  const { t } = useTranslation();
  if (uploads.items.length === 0) return null;
  return (
    <ul className={styles.list} aria-label={t("composer.toAttach")}>
      {uploads.items.map((one) => (
        <li key={one.id} className={styles.item} data-busy={one.path === null && !one.problem && !one.isHeld} data-ill={Boolean(one.problem)}>
          <Icon name={one.problem ? "warn" : "attach"} />
          <span className={styles.words}>
            <span className={styles.name} title={one.path ?? one.name}>{one.name}</span>
            {one.problem && <span className={styles.why} role="alert">{one.problem}</span>}
            {one.path === null && !one.problem && !one.isHeld && <span className="unseen">{t("composer.uploading")}</span>}
          </span>
          {one.problem && <IconButton icon="refresh" label={t("composer.uploadAgain", { name: one.name })} onClick={() => uploads.retry(one.id)} />}
          <IconButton icon="cross" label={t("composer.detach", { name: one.name })} onClick={() => uploads.remove(one.id)} />
        </li>
      ))}
    </ul>
  );
}
