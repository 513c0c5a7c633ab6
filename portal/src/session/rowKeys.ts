/** Keys for the rows of the conversation: go from one to the next, open, copy, copy the link to it. */
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { VirtualizerHandle } from "virtua";
import { useKeys } from "../keys";
import { feedOf } from "../live";
import type { Row } from "../log/rows";
import { toast } from "../parts/toast";
import { reasonOf } from "../words/server";

export function useRowKeys(sessionId: string, rows: readonly Row[], list: { current: VirtualizerHandle | null }, leave: () => void): string | null {
  const { t } = useTranslation();
  const [chosen, setChosen] = useState<string | null>(null);
  const at = rows.findIndex((row) => row.id === chosen);
  const step = (by: number): void => {
    const next = at < 0 ? rows.length - 1 : Math.min(rows.length - 1, Math.max(0, at + by));
    const row = rows[next];
    if (!row) return;
    leave();
    setChosen(row.id);
    list.current?.scrollToIndex(next, { align: "nearest" });
  };
  const copy = (text: string): void => void navigator.clipboard.writeText(text).then(() => toast(t("common.copied")));
  const row = rows[at];
  useKeys({
    nextRow: () => step(1),
    previousRow: () => step(-1),
    ...(row && {
      openRow: () => document.querySelector<HTMLElement>(`[data-row="${CSS.escape(row.id)}"] [data-keep]`)?.click(),
      copyRow: () => copy(textOf(feedOf(sessionId).state.items.get(row.id) ?? row)),
      linkRow: () => copy(`${location.origin}${location.pathname}?at=${seqOf(row)}`),
    }),
  });
  return chosen;
}

function textOf(row: Row): string {
  if ("text" in row) return row.text;
  if (row.kind === "group") return row.tools.map((tool) => tool.title).join("\n");
  if (row.kind === "run") return row.reason ? reasonOf(row.reason) : row.status;
  return row.kind === "notice" ? row.type : row.title;
}

const seqOf = (row: Row): number => (row.kind === "group" ? (row.tools[0]?.firstSeq ?? 0) : row.firstSeq);
