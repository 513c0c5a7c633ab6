import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Problem } from "../../api/client";
import type { ContentAnswer, FileItem } from "../../api/types";
import { Button } from "../../parts/Button";
import { Empty, ErrorNote, Skeleton } from "../../parts/Note";
import { toast } from "../../parts/toast";
import { bytes } from "../../words/numbers";
import { Markdown } from "../markdown/Markdown";
import { CsvTable } from "./CsvTable";
import { DownloadLink, ViewerLink } from "./DownloadLink";
import styles from "./FilePreview.module.css";
import { PutBack } from "./PutBack";
import { useContent } from "./reading";
import { TextLines } from "./TextLines";
import { nameOf } from "./tree";
import type { Which } from "./which";

interface FilePreviewProps {
  sessionId: string;
  which: Which;
  path: string;
  item: FileItem | undefined;
  onBack: () => void;
  onNewest: () => void;
}

/** One file by its kind, with its download; or why it cannot be shown. */
export function FilePreview({ sessionId, which, path, item, onBack, onNewest }: FilePreviewProps) {
  const { t } = useTranslation();
  const isLink = item?.kind === "symlink";
  const content = useContent(sessionId, which, path, { isOn: !isLink });
  const [isSource, setSource] = useState(false);
  if (isLink) return <Framed path={path} onBack={onBack}><Empty title={t("files.link", { target: item.target })}><p>{t("files.linkNote")}</p></Empty></Framed>;
  if (content.error instanceof Problem && content.error.code === "unknown_path")
    return (
      <Framed path={path} onBack={onBack}>
        <Empty title={t("files.gone")}>
          <p>{t("files.goneNote")}</p>
          {which.kind !== "newest" && <Button onClick={onNewest}>{t("files.toNewest")}</Button>}
        </Empty>
      </Framed>
    );
  if (content.error) return <Framed path={path} onBack={onBack}><ErrorNote error={content.error} onRetry={() => void content.refetch()} /></Framed>;
  if (!content.data) return <Framed path={path} onBack={onBack}><Skeleton lines={6} /></Framed>;
  const file = content.data;
  const hasViews = file.kind === "markdown" || file.kind === "csv";
  const text = file.text ?? null;
  return (
    <Framed
      path={path}
      onBack={onBack}
      facts={[bytes(file.size), file.encoding && file.encoding !== "utf-8" ? file.encoding : "", file.lineEnds && file.lineEnds !== "lf" && file.lineEnds !== "none" ? file.lineEnds.toUpperCase() : ""]}
      actions={
        <>
          {hasViews && <Button look="quiet" aria-pressed={isSource} onClick={() => setSource(!isSource)}>{t("files.source")}</Button>}
          {text !== null && !file.cut && <Button look="quiet" icon="copy" onClick={() => void navigator.clipboard.writeText(text).then(() => toast(t("common.copied")))}>{t("common.copy")}</Button>}
          <DownloadLink href={file.downloadUrl} label={t("files.download", { name: file.name })} />
        </>
      }
    >
      <PutBack sessionId={sessionId} which={which} path={path} />
      {file.cut && text !== null && <p className={styles.cut}>{t("files.cut", { size: bytes(file.size) })}</p>}
      <Shown file={file} isSource={isSource} />
    </Framed>
  );
}

function Shown({ file, isSource }: { file: ContentAnswer; isSource: boolean }) {
  const { t } = useTranslation();
  const text = file.text ?? "";
  if (file.size === 0) return <Empty title={t("files.emptyFile")} />;
  if (file.kind === "image") return <Image file={file} />;
  if (file.kind === "pdf") return <Empty title={t("files.pdf")}><p>{t("files.pdfNote")}</p><ViewerLink href={file.downloadUrl} /></Empty>;
  if (file.kind === "binary") return <Empty title={t("files.binary")}><p>{t("files.binaryNote", { type: file.mimeType })}</p></Empty>;
  if (file.kind === "markdown" && !isSource) return <div className={styles.prose} tabIndex={0} role="group" aria-label={file.name}><Markdown text={text} isDone /></div>;
  if (file.kind === "csv" && !isSource) return <CsvTable text={text} name={file.name} />;
  return <TextLines text={text} name={file.name} />;
}

function Image({ file }: { file: ContentAnswer }) {
  const { t } = useTranslation();
  const [size, setSize] = useState("");
  const [isBroken, setBroken] = useState(false);
  if (isBroken) return <Empty title={t("files.brokenImage")} />;
  return (
    <figure className={styles.image}>
      <img src={file.downloadUrl} alt={file.name} onLoad={(event) => setSize(`${event.currentTarget.naturalWidth} × ${event.currentTarget.naturalHeight}`)} onError={() => setBroken(true)} />
      <figcaption className={styles.soft}>{size}</figcaption>
    </figure>
  );
}

interface FramedProps {
  path: string;
  onBack: () => void;
  facts?: (string | null)[];
  actions?: ReactNode;
  children: ReactNode;
}

export function Framed({ path, onBack, facts = [], actions, children }: FramedProps) {
  const { t } = useTranslation();
  return (
    <section className={styles.frame} aria-label={nameOf(path)}>
      <header className={styles.head}>
        <Button look="quiet" icon="left" className={styles.back ?? ""} onClick={onBack}>{t("files.back")}</Button>
        <h2 className={styles.path} title={path}>{path}</h2>
        <span className={styles.soft}>{facts.filter(Boolean).join(" · ")}</span>
        <span className={styles.actions}>{actions}</span>
      </header>
      <div className={styles.body}>{children}</div>
    </section>
  );
}
