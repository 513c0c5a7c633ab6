import { useTranslation } from "react-i18next";
import { Link, useParams } from "react-router";
import { Icon } from "../parts/Icon";
import styles from "./Rows.module.css";

/** The files that the prompt came with, each a way to its content. */
export function Attached({ paths }: { paths: readonly string[] }) {
  const { t } = useTranslation();
  const { session } = useParams();
  return (
    <ul className={styles.attached} aria-label={t("composer.attached")}>
      {paths.map((path) => (
        <li key={path}>
          <Link className={styles.attachment} to={`/s/${session}/files/${path.split("/").map(encodeURIComponent).join("/")}`} title={path}>
            <Icon name="attach" size={14} />
            {path.slice(path.lastIndexOf("/") + 1)}
          </Link>
        </li>
      ))}
    </ul>
  );
}
