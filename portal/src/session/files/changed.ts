/** Which files the session's tool calls changed, newest first. Pure. */
import type { SessionState } from "../../log/events";
import { countChanges, lineDiff } from "../lineDiff";

export interface ChangedFile {
  path: string;
  added: number;
  removed: number;
}

export function changedFiles(state: SessionState): ChangedFile[] {
  const found = new Map<string, ChangedFile>();
  for (const item of state.items.values()) {
    if (item.kind !== "tool") continue;
    for (const diff of item.diffs) {
      const { added, removed } = countChanges(lineDiff(diff.oldText ?? "", diff.newText ?? ""));
      const before = found.get(diff.path);
      found.delete(diff.path);
      found.set(diff.path, { path: diff.path, added: added + (before?.added ?? 0), removed: removed + (before?.removed ?? 0) });
    }
  }
  return [...found.values()].reverse();
}
