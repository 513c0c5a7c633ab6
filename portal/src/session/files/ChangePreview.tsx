import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import type { DiffAnswer } from "../../api/types";
import { Empty, ErrorNote, Skeleton } from "../../parts/Note";
import { Hunks } from "../Diff";
import { linesOfPatch } from "../lineDiff";
import { Counts } from "./ChangeList";
import { Framed } from "./FilePreview";
import { useChange } from "./reading";
import type { Comparison } from "./which";

interface ChangePreviewProps {
  sessionId: string;
  comparison: Comparison;
  path: string;
  onBack: () => void;
}

/** What changed in one file between two states. */
export function ChangePreview({ sessionId, comparison, path, onBack }: ChangePreviewProps) {
  const { t } = useTranslation();
  const change = useChange(sessionId, comparison, path);
  const file = change.data?.files[0];
  return (
    <Framed path={path} onBack={onBack} facts={[file ? t(`change.${file.change}`) : ""]} actions={file && <Counts added={file.added} removed={file.removed} />}>
      {change.error ? <ErrorNote error={change.error} onRetry={() => void change.refetch()} /> : change.data ? <Patch change={change.data} /> : <Skeleton lines={6} />}
    </Framed>
  );
}

function Patch({ change }: { change: DiffAnswer }) {
  const { t } = useTranslation();
  const hunks = useMemo(() => linesOfPatch(change.patch ?? ""), [change.patch]);
  if (change.files[0]?.binary) return <Empty title={t("files.binaryChange")} />;
  if (change.patch == null) return <Empty title={t("files.longChange")}><p>{t("files.longChangeNote")}</p></Empty>;
  if (hunks.length === 0) return <Empty title={t("files.noLines")} />;
  return <Hunks hunks={hunks} isWhole />;
}
