import { useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { Problem, queryOf as addressQuery } from "../../api/client";
import type { FileItem } from "../../api/types";
import type { SessionState } from "../../log/events";
import { Button, IconButton } from "../../parts/Button";
import { Icon } from "../../parts/Icon";
import { Empty, ErrorNote } from "../../parts/Note";
import { toast } from "../../parts/toast";
import { useDrop } from "../dropping";
import { Saved } from "../Saved";
import { sentenceOf } from "../../words/server";
import { upload, useUploads } from "../uploads";
import { AgentChanges } from "./AgentChanges";
import { ChangeList } from "./ChangeList";
import { ChangePreview } from "./ChangePreview";
import { ZipButton } from "./DownloadLink";
import { FilePreview } from "./FilePreview";
import styles from "./Files.module.css";
import { FileSearch } from "./FileSearch";
import { FileTree } from "./FileTree";
import { PutBack } from "./PutBack";
import { useFileNews, useFolders, useNumberedRuns, useRested, type FolderReading, type SearchIn } from "./reading";
import { ComparedState, ShownState } from "./ShownState";
import { StateBar } from "./StateBar";
import { folderOf, foldersAbove, nameOf, rowsOf } from "./tree";
import type { FilesView } from "./view";
import { keyOf, NEWEST, queryOf } from "./which";

interface FilesProps {
  sessionId: string;
  state: SessionState;
  view: FilesView;
}

/** A session's files at any state: a tree or what changed at one side, the chosen file at the other; narrow, one of them. */
export function Files({ sessionId, state, view }: FilesProps) {
  const { path, which, comparison, go } = view;
  const runs = useNumberedRuns(sessionId) ?? [];
  const open = useOpenFolders(path);
  const reading = useFolders(sessionId, which, open.wanted, open.pages);
  const item = itemAt(reading, path);
  const isFile = path !== "" && item?.kind !== "folder";
  useFileNews(sessionId, state);
  const back = (): void => go({ path: comparison ? "" : folderOf(path) });
  return (
    <div className={styles.files}>
      <div className={styles.bars}>
        <StateBar
          sessionId={sessionId}
          runs={runs}
          which={which}
          comparison={comparison}
          onWhich={(next) => go({ which: next, comparison: null })}
          onCompare={(next) => go({ comparison: next, path: comparison && next ? path : "" })}
        />
        <div className={styles.facts}>
          {comparison ? <ComparedState sessionId={sessionId} comparison={comparison} /> : <ShownState sessionId={sessionId} state={reading.root.data} which={which} runs={runs} />}
          <Saved sessionId={sessionId} isWhole />
        </div>
      </div>
      <div className={styles.body} data-shows={isFile ? "file" : "list"}>
        <div className={styles.list}>
          {comparison ? (
            <ChangeList sessionId={sessionId} comparison={comparison} path={path} onChoose={(next) => go({ path: next })} />
          ) : (
            <Folders key={keyOf(which)} sessionId={sessionId} state={state} view={view} reading={reading} open={open} item={item} />
          )}
        </div>
        <div className={styles.shown}>
          {!isFile ? (
            <Nothing />
          ) : comparison ? (
            <ChangePreview key={path} sessionId={sessionId} comparison={comparison} path={path} onBack={back} />
          ) : (
            <FilePreview key={`${keyOf(which)} ${path}`} sessionId={sessionId} which={which} path={path} item={item} onBack={back} onNewest={() => go({ which: NEWEST })} />
          )}
        </div>
      </div>
    </div>
  );
}

interface FoldersProps extends FilesProps {
  reading: FolderReading;
  open: OpenFolders;
  item: FileItem | undefined;
}

/** Search, upload and the tree. Files that are dropped here are uploaded. */
function Folders({ sessionId, state, view, reading, open, item }: FoldersProps) {
  const { t } = useTranslation();
  const { path, which, go } = view;
  const [text, setText] = useState("");
  const [place, setPlace] = useState<SearchIn>("names");
  const rested = useRested(text.trim());
  const wanted = text.trim() && rested;
  const [focus, setFocus] = useState(path);
  const rows = useMemo(() => rowsOf(reading.listings, open.open), [reading.listings, open.open]);
  const uploading = useUploadHere(sessionId);
  const drop = useDrop(uploading.canUpload && which.kind === "newest" ? uploading.put : undefined);
  const label = place === "text" ? "files.searchText" : "files.search";
  const folder = item?.kind === "folder" ? path : "";
  const error = reading.root.error;
  if (error instanceof Problem && error.code === "unknown_snapshot")
    return which.kind === "newest" ? <Empty title={t("files.none")}><p>{t("files.noneNote")}</p></Empty> : <Empty title={t("files.stateNotSaved")}><p>{t("files.stateNotSavedNote")}</p><Button onClick={() => go({ which: NEWEST })}>{t("files.toNewest")}</Button></Empty>;
  if (error && !reading.root.data) return <ErrorNote error={error} onRetry={() => void reading.root.refetch()} />;
  const choose = (next: FileItem): void => {
    setFocus(next.path);
    go({ path: next.path });
  };
  return (
    <div className={styles.folders} data-drop={drop.isOver} {...drop.handlers}>
      <div className={styles.tools}>
        <div className={styles.search}>
          <Icon name="search" size={14} />
          <input type="search" className={styles.field} value={text} aria-label={t(label)} placeholder={t(label)} onChange={(event) => setText(event.target.value)} onKeyDown={(event) => event.key === "Escape" && setText("")} />
        </div>
        {text !== "" && <Button look="quiet" aria-pressed={place === "text"} onClick={() => setPlace(place === "text" ? "names" : "text")}>{t("files.inText")}</Button>}
        {drop.handlers.onDrop && <UploadButton isBusy={uploading.isBusy} onFiles={uploading.put} />}
        <ZipButton href={`/api/files/zip${addressQuery({ sessionId, ...queryOf(which), path: folder })}`} label={folder ? t("files.zipOf", { name: nameOf(folder) }) : t("files.zipAll")} />
      </div>
      {folder !== "" && <PutBack key={folder} sessionId={sessionId} which={which} path={folder} />}
      {drop.isOver && <p className={styles.dropping}>{t("files.drop")}</p>}
      {wanted === "" && which.kind === "newest" && <AgentChanges state={state} path={path} onChoose={(next) => go({ path: next })} />}
      {wanted !== "" ? (
        <FileSearch sessionId={sessionId} which={which} text={wanted} place={place} path={path} onChoose={choose} />
      ) : (
        <FileTree rows={rows} path={path} focus={focus} onFocus={setFocus} onToggle={open.toggle} onChoose={choose} onMore={open.more} />
      )}
    </div>
  );
}

function UploadButton({ isBusy, onFiles }: { isBusy: boolean; onFiles: (files: File[]) => void }) {
  const { t } = useTranslation();
  const picker = useRef<HTMLInputElement>(null);
  return (
    <>
      <IconButton icon="attach" label={t(isBusy ? "composer.uploading" : "files.upload")} disabled={isBusy} onClick={() => picker.current?.click()} />
      <input ref={picker} type="file" multiple hidden onChange={(event) => (onFiles([...(event.target.files ?? [])]), (event.target.value = ""))} />
    </>
  );
}

function useUploadHere(sessionId: string) {
  const { t } = useTranslation();
  const { canUpload } = useUploads(sessionId);
  const [flying, setFlying] = useState(0);
  const one = async (file: File): Promise<void> => {
    setFlying((count) => count + 1);
    try {
      const { path, placed } = await upload(sessionId, file);
      toast(t("files.uploaded", { name: file.name }), placed ? path : t("files.uploadedNote", { path }));
    } catch (error) {
      toast(t("composer.notUploaded", { name: file.name }), sentenceOf(error));
    }
    setFlying((count) => count - 1);
  };
  return { canUpload, isBusy: flying > 0, put: (files: File[]) => files.forEach((file) => void one(file)) };
}

function Nothing() {
  const { t } = useTranslation();
  return <Empty title={t("files.choose")}><p>{t("files.chooseNote")}</p></Empty>;
}

interface OpenFolders {
  open: ReadonlySet<string>;
  wanted: string[];
  pages: Readonly<Record<string, number>>;
  toggle: (folder: string, isOpen: boolean) => void;
  more: (folder: string) => void;
}

/** Folders that a person opened, and those above the chosen path. */
function useOpenFolders(path: string): OpenFolders {
  const [toggled, setToggled] = useState<Readonly<Record<string, boolean>>>({});
  const [pages, setPages] = useState<Readonly<Record<string, number>>>({});
  return useMemo(() => {
    const names = new Set([...foldersAbove(path), ...Object.keys(toggled)].filter((name) => toggled[name] !== false));
    return {
      open: names,
      wanted: ["", ...names],
      pages,
      toggle: (folder, isOpen) => setToggled((before) => ({ ...before, [folder]: isOpen })),
      more: (folder) => setPages((before) => ({ ...before, [folder]: (before[folder] ?? 1) + 1 })),
    };
  }, [path, toggled, pages]);
}

function itemAt(reading: FolderReading, path: string): FileItem | undefined {
  const listing = reading.listings.get(folderOf(path));
  return listing && listing !== "failed" ? listing.items.find((one) => one.path === path) : undefined;
}
