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

export const isKind = (kind: string): kind is ToolKind => kind in ICONS;

export function kindOf(kind: string): ToolKind {
  return isKind(kind) ? kind : "other";
}

export const iconOf = (kind: string): IconName => ICONS[kindOf(kind)];

/** Agents begin many titles with the verb that the row says already: `Run ls` in a row `Run`. */
const SAID: Partial<Record<ToolKind, RegExp>> = { read: /^Read (?=\S)/, edit: /^Edit (?=\S)/, delete: /^Delete (?=\S)/, search: /^Search (?=\S)/, execute: /^Run (?=\S)/, fetch: /^Fetch (?=\S)/ };

export function withoutVerb(title: string, kind: string): string {
  return title.replace(SAID[kindOf(kind)] ?? "", "");
}
