import { useTranslation } from "react-i18next";
import type { FileItem } from "../../api/types";
import { Icon } from "../../parts/Icon";
import { Empty, ErrorNote, Skeleton } from "../../parts/Note";
import styles from "./ChangeList.module.css";
import { useFound, type SearchIn } from "./reading";
import { folderOf } from "./tree";
import type { Which } from "./which";

interface FileSearchProps {
  sessionId: string;
  which: Which;
  text: string;
  place: SearchIn;
  path: string;
  onChoose: (item: FileItem) => void;
}

/** Files whose names, or whose lines, hold the text. */
export function FileSearch({ sessionId, which, text, place, path, onChoose }: FileSearchProps) {
  const { t } = useTranslation();
  const found = useFound(sessionId, which, text, place);
  if (found.error) return <ErrorNote error={found.error} onRetry={() => void found.refetch()} />;
  if (!found.data) return <Skeleton />;
  const { items, partial } = found.data;
  return (
    <div className={styles.scroll}>
      <p className={styles.count} role="status">{t("files.found", { count: items.length })}{partial && ` · ${t("files.partial")}`}</p>
      {items.length === 0 && <Empty title={t(place === "text" ? "files.noLineFound" : "files.noneFound")} />}
      <ul>
        {items.map((item) => (
          <li key={item.path}>
            <button type="button" className={styles.row} aria-current={item.path === path || undefined} onClick={() => onChoose(item)} title={item.path}>
              <Icon name={item.kind === "folder" ? "folder" : "files"} size={14} />
              <span className={styles.name}>{item.name} <span className={styles.folder}>{folderOf(item.path)}</span></span>
            </button>
            {item.matches?.map(({ line, text: found }) => <p key={line} className={styles.match}>{line}: {found.trim()}</p>)}
          </li>
        ))}
      </ul>
    </div>
  );
}
