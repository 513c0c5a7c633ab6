import { useTranslation } from "react-i18next";
import { IconButton } from "../parts/Button";
import { Icon } from "../parts/Icon";
import styles from "./Uploads.module.css";
import type { UploadList } from "./uploads";

export function Uploads({ uploads }: { uploads: UploadList }) {
  const { t } = useTranslation();
  if (uploads.items.length === 0) return null;
  return (
    <ul className={styles.list} aria-label={t("composer.attached")}>
      {uploads.items.map((one) => (
        <li key={one.id} className={styles.item} data-busy={one.path === null}>
          <Icon name="attach" />
          <span className={styles.name}>{one.name}</span>
          <IconButton icon="cross" label={t("composer.detach", { name: one.name })} onClick={() => uploads.remove(one.id)} />
        </li>
      ))}
    </ul>
  );
}
