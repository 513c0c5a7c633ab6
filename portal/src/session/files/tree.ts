/** The open part of a file tree as rows, and where keys lead in it. Pure. */
import type { FileItem } from "../../api/types";

export interface Listing {
  items: readonly FileItem[];
  hasMore: boolean;
  /** How many of the folder's items policies hide. */
  hidden: number;
}

export interface ItemRow {
  kind: "item";
  id: string;
  item: FileItem;
  level: number;
  isOpen: boolean;
  /** The place among its folder's items, from 1, and how many these are. */
  position: number;
  size: number;
}

/** Stands for items that are not read yet: of a folder that is being read, or beyond its first pages. */
export interface RestRow {
  kind: "loading" | "more" | "empty" | "failed" | "hidden";
  id: string;
  folder: string;
  level: number;
  /** How many are hidden. */
  count?: number;
}

export type Row = ItemRow | RestRow;

const ENCODED = "base64:";

export function rowsOf(listings: ReadonlyMap<string, Listing | "failed">, open: ReadonlySet<string>, folder = "", level = 1): Row[] {
  const listing = listings.get(folder);
  const rest = (kind: RestRow["kind"]): Row => ({ kind, id: `${kind}:${folder}`, folder, level });
  if (!listing) return [rest("loading")];
  if (listing === "failed") return [rest("failed")];
  const hidden: Row[] = listing.hidden > 0 ? [{ kind: "hidden", id: `hidden:${folder}`, folder, level, count: listing.hidden }] : [];
  if (listing.items.length === 0 && !listing.hasMore) return hidden.length > 0 ? hidden : [rest("empty")];
  const rows = listing.items.flatMap((item, at): Row[] => {
    const isOpen = item.kind === "folder" && open.has(item.path);
    const row: ItemRow = { kind: "item", id: item.path, item, level, isOpen, position: at + 1, size: listing.items.length };
    return isOpen ? [row, ...rowsOf(listings, open, item.path, level + 1)] : [row];
  });
  return [...rows, ...hidden, ...(listing.hasMore ? [rest("more")] : [])];
}

/** The folders above a path, outermost first. A path that is no text has none that could be named. */
export function foldersAbove(path: string): string[] {
  if (path.startsWith(ENCODED)) return [];
  const names = path.split("/").slice(0, -1);
  return names.map((_, at) => names.slice(0, at + 1).join("/"));
}

export function folderOf(path: string): string {
  return foldersAbove(path).at(-1) ?? "";
}

export function nameOf(path: string): string {
  return path.startsWith(ENCODED) ? path : path.slice(path.lastIndexOf("/") + 1);
}

export interface Move {
  focus?: string;
  open?: string;
  close?: string;
}

/** What an arrow, Home or End does at a row, as the tree pattern of WAI-ARIA says. Null for any other key. */
export function moveIn(rows: readonly Row[], focus: string, key: string): Move | null {
  const at = Math.max(0, rows.findIndex((row) => row.id === focus));
  const row = rows[at];
  const to = (place: number): Move => ({ focus: rows[Math.min(rows.length - 1, Math.max(0, place))]?.id ?? focus });
  if (!row) return null;
  const isFolder = row.kind === "item" && row.item.kind === "folder";
  switch (key) {
    case "ArrowDown":
      return to(at + 1);
    case "ArrowUp":
      return to(at - 1);
    case "Home":
      return to(0);
    case "End":
      return to(rows.length - 1);
    case "PageDown":
      return to(at + 12);
    case "PageUp":
      return to(at - 12);
    case "ArrowRight":
      if (!isFolder) return {};
      return row.isOpen ? to(at + 1) : { open: row.id };
    case "ArrowLeft":
      if (isFolder && row.isOpen) return { close: row.id };
      return to(parentOf(rows, at) ?? at);
    default:
      return null;
  }
}

function parentOf(rows: readonly Row[], at: number): number | null {
  const level = rows[at]?.level ?? 1;
  const found = rows.findLastIndex((row, place) => place < at && row.level < level);
  return found < 0 ? null : found;
}
