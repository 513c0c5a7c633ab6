/** Reading back: older pages as the eye comes near them, and the row that an address names. */
import { useEffect, useRef, useState, type RefObject } from "react";
import type { VirtualizerHandle } from "virtua";
import type { Row } from "../log/rows";

const NEAR_PX = 900;

interface Older {
  hasOlder: boolean;
  onOlder: () => Promise<void>;
  rows: readonly Row[];
}

/** Read the page before when the beginning comes near. */
export function useOlder({ scroller, hasOlder, onOlder, rows }: Older & { scroller: RefObject<HTMLElement | null> }): void {
  const latest = useRef(onOlder);
  useEffect(() => {
    latest.current = onOlder;
  });
  useEffect(() => {
    const element = scroller.current;
    if (!element || !hasOlder) return;
    const look = (): void => {
      if (element.scrollTop < NEAR_PX) latest.current().catch(() => undefined);
    };
    const frame = requestAnimationFrame(look);
    element.addEventListener("scroll", look, { passive: true });
    return () => {
      cancelAnimationFrame(frame);
      element.removeEventListener("scroll", look);
    };
  }, [scroller, hasOlder, rows.length]);
}

/** Whether rows came before those of the last drawing: then the list keeps the first visible one in place. */
export function useIsPrepended(rows: readonly Row[]): boolean {
  const before = useRef({ first: rows[0]?.id, isPrepended: false, rows });
  if (before.current.rows !== rows) {
    const { first } = before.current;
    const isPrepended = first !== undefined && rows[0]?.id !== first && rows.some((row) => row.id === first);
    before.current = { first: rows[0]?.id, isPrepended, rows };
  }
  return before.current.isPrepended;
}

interface DeepLink extends Older {
  at: number | null;
  list: RefObject<VirtualizerHandle | null>;
  /** Stop following the end: rows that are measured would lead there again. */
  leave: () => void;
}

/** The id of the row that holds the event `at`, once it was read and scrolled to. */
export function useDeepLink({ rows, at, list, hasOlder, onOlder, leave }: DeepLink): string | null {
  const [marked, setMarked] = useState<string | null>(null);
  const done = useRef<number | null>(null);
  useEffect(() => {
    if (at === null || done.current === at || rows.length === 0) return;
    const index = rows.findIndex((row) => holds(row, at));
    const row = rows[index];
    if (!row) {
      if (hasOlder && firstSeqOf(rows[0]) > at) onOlder().catch(() => undefined);
      return;
    }
    done.current = at;
    setMarked(row.id);
    leave();
    requestAnimationFrame(() => list.current?.scrollToIndex(index, { align: "center" }));
  }, [rows, at, list, hasOlder, onOlder, leave]);
  return marked;
}

function holds(row: Row, at: number): boolean {
  const items = row.kind === "group" ? row.tools : [row];
  return items.some((item) => item.firstSeq <= at && at <= item.lastSeq);
}

function firstSeqOf(row: Row | undefined): number {
  if (!row) return 0;
  return row.kind === "group" ? (row.tools[0]?.firstSeq ?? 0) : row.firstSeq;
}
