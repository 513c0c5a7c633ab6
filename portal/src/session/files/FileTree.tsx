import { useEffect, useId, useRef, type KeyboardEvent } from "react";
import { useTranslation } from "react-i18next";
import { Virtualizer, type VirtualizerHandle } from "virtua";
import type { FileItem } from "../../api/types";
import { Icon } from "../../parts/Icon";
import { bytes } from "../../words/numbers";
import styles from "./FileTree.module.css";
import { moveIn, type ItemRow, type RestRow, type Row } from "./tree";

interface FileTreeProps {
  rows: Row[];
  /** The chosen path. */
  path: string;
  focus: string;
  onFocus: (id: string) => void;
  onToggle: (folder: string, isOpen: boolean) => void;
  onChoose: (item: FileItem) => void;
  onMore: (folder: string) => void;
}

/** Folders and files; only rows in sight are in the document. Keys as in any tree. */
export function FileTree({ rows, path, focus, onFocus, onToggle, onChoose, onMore }: FileTreeProps) {
  const { t } = useTranslation();
  const id = useId();
  const list = useRef<VirtualizerHandle>(null);
  const at = Math.max(0, rows.findIndex((row) => row.id === focus));
  useEffect(() => {
    list.current?.scrollToIndex(at, { align: "nearest" });
  }, [at]);
  const act = (row: Row | undefined): void => {
    if (!row) return;
    onFocus(row.id);
    if (row.kind !== "item") {
      if (row.kind === "more" || row.kind === "failed") onMore(row.folder);
      return;
    }
    onChoose(row.item);
    if (row.item.kind === "folder") onToggle(row.id, !row.isOpen);
  };
  const press = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const move = moveIn(rows, focus, event.key);
    if (move?.focus !== undefined) onFocus(move.focus);
    else if (move?.open !== undefined) onToggle(move.open, true);
    else if (move?.close !== undefined) onToggle(move.close, false);
    else if (event.key === "Enter" || event.key === " ") act(rows[at]);
    else if (!move) return;
    event.preventDefault();
  };
  return (
    <div className={styles.scroll}>
      <div role="tree" aria-label={t("files.tree")} className={styles.tree} tabIndex={0} aria-activedescendant={rows[at] ? `${id}${at}` : undefined} onKeyDown={press}>
        <Virtualizer ref={list} keepMounted={[at]}>
          {rows.map((row, place) => {
            const shared = { id: `${id}${place}`, isFocused: place === at, onAct: () => act(row) };
            return row.kind === "item" ? <Item key={row.id} row={row} isChosen={row.id === path} {...shared} /> : <Rest key={row.id} row={row} {...shared} />;
          })}
        </Virtualizer>
      </div>
    </div>
  );
}

interface RowProps<Kind> {
  row: Kind;
  id: string;
  isFocused: boolean;
  onAct: () => void;
}

function Item({ row, id, isFocused, isChosen, onAct }: RowProps<ItemRow> & { isChosen: boolean }) {
  const { item } = row;
  const isFolder = item.kind === "folder";
  return (
    <div
      role="treeitem"
      id={id}
      className={styles.row}
      data-focused={isFocused}
      aria-level={row.level}
      aria-posinset={row.position}
      aria-setsize={row.size}
      aria-selected={isChosen}
      {...(isFolder && { "aria-expanded": row.isOpen })}
      onClick={onAct}
    >
      <Indent level={row.level} />
      <span className={styles.arrow}>{isFolder && <Icon name={row.isOpen ? "down" : "right"} size={12} />}</span>
      <Icon name={isFolder ? "folder" : item.kind === "symlink" ? "link" : "files"} size={14} />
      <span className={styles.name} title={item.path}>{item.name}</span>
      {item.target != null && <span className={styles.aside}>→ {item.target}</span>}
      {item.size != null && <span className={styles.aside}>{bytes(item.size)}</span>}
    </div>
  );
}

const SAID = { loading: "common.loading", more: "common.more", empty: "files.emptyFolder", failed: "files.notRead", hidden: "files.hidden" } as const;

function Rest({ row, id, isFocused, onAct }: RowProps<RestRow>) {
  const { t } = useTranslation();
  return (
    <div role="treeitem" id={id} className={`${styles.row} ${styles.rest}`} data-focused={isFocused} data-acts={row.kind === "more" || row.kind === "failed"} aria-level={row.level} aria-selected={false} onClick={onAct}>
      <Indent level={row.level} />
      <span className={styles.arrow} />
      <span className={styles.name}>{t(SAID[row.kind], { count: row.count ?? 0 })}</span>
    </div>
  );
}

/** Depth as so many cells: sizes stand in the style sheet alone. */
function Indent({ level }: { level: number }) {
  return <>{Array.from({ length: Math.min(level - 1, 12) }, (_, at) => <span key={at} className={styles.step} />)}</>;
}
