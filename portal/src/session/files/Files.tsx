import { useTranslation } from "react-i18next";
import type { SessionState } from "../../log/events";
import { Empty } from "../../parts/Note";
import { bytes } from "../../words/numbers";
import { Ago } from "../../parts/Ago";
import { useSnapshots } from "../../api/queries";
import { Table } from "../../parts/Table";
import type { Snapshot } from "../../api/types";
import { changedFiles } from "./changed";
import { shortPath } from "../paths";
import styles from "./Files.module.css";

interface FilesProps {
  sessionId: string;
  state: SessionState;
  path?: string;
  isWide?: boolean;
}

/** The session's files: what its runs changed, and every save of them. */
export function Files({ sessionId, state, isWide }: FilesProps) {
  const { t } = useTranslation();
  const changed = changedFiles(state);
  const snapshots = useSnapshots(sessionId);
  return (
    <div className={styles.files}>
      <section aria-label={t("files.changed")}>
        <h2 className={styles.heading}>{t("files.changed")}</h2>
        {changed.length === 0 && <Empty title={t("files.noneChanged")} />}
        <ul>
          {changed.map((file) => (
            <li key={file.path} className={styles.row}>
              <span className={styles.path}>{shortPath(file.path)}</span>
              <span className={styles.plus}>+{file.added}</span> <span className={styles.minus}>{`−${file.removed}`}</span>
            </li>
          ))}
        </ul>
      </section>
      {isWide && (
        <section>
          <h2 className={styles.heading}>{t("files.saves")}</h2>
          <Table<Snapshot>
            label={t("files.saves")}
            rows={snapshots.data?.items}
            rowKey={(row) => row.snapshotId}
            empty={t("files.noSaves")}
            error={snapshots.error}
            onRetry={() => void snapshots.refetch()}
            columns={[
              { id: "number", label: t("files.number"), cell: (row) => row.number },
              { id: "files", label: t("panel.files"), isNumber: true, cell: (row) => row.files },
              { id: "changed", label: t("files.changes"), isNumber: true, cell: (row) => row.changed },
              { id: "size", label: t("files.size"), isNumber: true, cell: (row) => bytes(row.bytes) },
              { id: "when", label: t("files.when"), isNumber: true, cell: (row) => <Ago at={row.createdAt} /> },
            ]}
          />
        </section>
      )}
    </div>
  );
}
