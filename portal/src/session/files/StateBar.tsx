import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useSnapshots } from "../../api/queries";
import type { Snapshot } from "../../api/types";
import { Ago } from "../../parts/Ago";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import { Select } from "../../parts/Select";
import { Table } from "../../parts/Table";
import { bytes, dateTime } from "../../words/numbers";
import styles from "./StateBar.module.css";
import { firstComparison, keyOf, NEWEST, type Comparison, type NumberedRun, type Which } from "./which";

interface StateBarProps {
  sessionId: string;
  runs: NumberedRun[];
  which: Which;
  comparison: Comparison | null;
  onWhich: (which: Which) => void;
  onCompare: (comparison: Comparison | null) => void;
}

/** Which state of the files: the newest, any run's, any save's, or two of them side by side. */
export function StateBar({ sessionId, runs, which, comparison, onWhich, onCompare }: StateBarProps) {
  const { t } = useTranslation();
  const snapshots = useSnapshots(sessionId).data?.items ?? [];
  const [isOpen, setOpen] = useState(false);
  const first = firstComparison(snapshots, runs);
  const nameOf = useStateName(runs, snapshots);
  const ofRuns = runs.map((run) => ({ value: `run:${run.runId}`, label: nameOf(run.runId), note: run.prompt.slice(0, 60) }));
  const withChosen = (value: string, id: string) => (ofRuns.some((one) => one.value === value) || id === "" ? ofRuns : [{ value, label: nameOf(id), note: "" }, ...ofRuns]);
  const choose = (value: string): void => {
    const [kind, id = ""] = value.split(":");
    onWhich(kind === "run" || kind === "snapshot" ? { kind, id } : NEWEST);
  };
  const side = (id: string) => ({ value: `run:${id}`, choices: withChosen(`run:${id}`, id) });
  return (
    <div className={styles.bar}>
      {comparison ? (
        <>
          <Select isBoxed label={t("files.from")} {...side(comparison.from)} onChange={(value) => onCompare({ ...comparison, from: value.slice(4) })} />
          <span aria-hidden="true">→</span>
          <Select isBoxed label={t("files.to")} {...side(comparison.to)} onChange={(value) => onCompare({ ...comparison, to: value.slice(4) })} />
          <Button look="quiet" icon="cross" onClick={() => onCompare(null)}>{t("files.endCompare")}</Button>
        </>
      ) : (
        <>
          <Select
            isBoxed
            label={t("files.state")}
            value={keyOf(which)}
            choices={[{ value: "newest", label: t("files.newest") }, ...withChosen(keyOf(which), which.kind === "newest" ? "" : which.id)]}
            onChange={choose}
          />
          <Button look="quiet" disabled={!first} title={first ? undefined : t("files.nothingToCompare")} onClick={() => onCompare(first)}>{t("files.compare")}</Button>
          <Button look="quiet" icon="saved" onClick={() => setOpen(true)}>{t("files.saves")}</Button>
        </>
      )}
      {isOpen && <Saves sessionId={sessionId} onClose={() => setOpen(false)} onChoose={(id) => (setOpen(false), onWhich({ kind: "snapshot", id }))} />}
    </div>
  );
}

/** What a run or a snapshot is called: `Run 3`, `Save 12 · 28 Nov, 14:02`. */
export function useStateName(runs: readonly NumberedRun[], snapshots: readonly Snapshot[]): (id: string) => string {
  const { t } = useTranslation();
  return (id) => {
    const run = runs.find((one) => one.runId === id);
    if (run) return t("files.run", { number: run.number });
    const save = snapshots.find((one) => one.snapshotId === id);
    return save ? `${t("files.save", { number: save.number })} · ${dateTime(save.createdAt)}` : t("files.someSave");
  };
}

function Saves({ sessionId, onClose, onChoose }: { sessionId: string; onClose: () => void; onChoose: (snapshotId: string) => void }) {
  const { t } = useTranslation();
  const snapshots = useSnapshots(sessionId);
  return (
    <Dialog isOpen onClose={onClose} title={t("files.saves")}>
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
          { id: "show", label: t("files.show"), cell: (row) => <Button look="quiet" onClick={() => onChoose(row.snapshotId)}>{t("files.show")}</Button> },
        ]}
      />
    </Dialog>
  );
}
