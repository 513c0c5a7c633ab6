import { useTranslation } from "react-i18next";
import { Problem } from "../../api/client";
import { Empty, ErrorNote, Skeleton } from "../../parts/Note";
import styles from "./ChangeList.module.css";
import { useChanges } from "./reading";
import { folderOf, nameOf } from "./tree";
import type { Comparison } from "./which";

interface ChangeListProps {
  sessionId: string;
  comparison: Comparison;
  path: string;
  onChoose: (path: string) => void;
}

const SIGNS = { added: "+", changed: "~", removed: "−" } as const;

/** The files that differ between two states, each with its counted lines. */
export function ChangeList({ sessionId, comparison, path, onChoose }: ChangeListProps) {
  const { t } = useTranslation();
  const changes = useChanges(sessionId, comparison);
  if (changes.error instanceof Problem && changes.error.code === "unknown_snapshot") return <Empty title={t("files.sideNotSaved")}><p>{t("files.sideNotSavedNote")}</p></Empty>;
  if (changes.error) return <ErrorNote error={changes.error} onRetry={() => void changes.refetch()} />;
  if (!changes.data) return <Skeleton />;
  const { files, nextCursor } = changes.data;
  if (files.length === 0) return <Empty title={t("files.same")} />;
  return (
    <div className={styles.scroll}>
      <p className={styles.count}>{t("files.changedCount", { count: files.length })}{nextCursor && " …"}</p>
      <ul>
        {files.map((file) => (
          <li key={file.path}>
            <button type="button" className={styles.row} aria-current={file.path === path || undefined} onClick={() => onChoose(file.path)} title={file.path}>
              <span className={`${styles.sign} ${styles[file.change]}`} aria-hidden="true">{SIGNS[file.change]}</span>
              <span className="unseen">{t(`change.${file.change}`)}</span>
              <span className={styles.name}>{nameOf(file.path)} <span className={styles.folder}>{folderOf(file.path)}</span></span>
              {file.binary ? <span className={styles.folder}>{t("files.binary")}</span> : <Counts added={file.added} removed={file.removed} />}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

export function Counts({ added, removed }: { added?: number | null | undefined; removed?: number | null | undefined }) {
  if (added == null || removed == null) return null;
  return <span className={styles.counts}>{(added > 0 || removed === 0) && <span className={styles.added}>+{added}</span>}{removed > 0 && <span className={styles.removed}>{` −${removed}`}</span>}</span>;
}
