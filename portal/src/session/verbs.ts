/** What a tool call does, in a word, and the sign for it. */
import type { IconName } from "../parts/Icon";

const ICONS = {
  read: "read",
  edit: "edit",
  delete: "trash",
  move: "files",
  search: "search",
  execute: "command",
  think: "thought",
  fetch: "globe",
  other: "tool",
} as const satisfies Record<string, IconName>;

export type ToolKind = keyof typeof ICONS;

export function kindOf(kind: string): ToolKind {
  return kind in ICONS ? (kind as ToolKind) : "other";
}

export const iconOf = (kind: string): IconName => ICONS[kindOf(kind)];
