import { useEffect, useImperativeHandle, useMemo, useRef, useState, type Ref } from "react";
import { useTranslation } from "react-i18next";
import { Virtualizer, type VirtualizerHandle } from "virtua";
import { useKeys } from "../keys";
import type { SessionState } from "../log/events";
import type { PromptEntry } from "../log/outbox";
import { rowsOf, type Row } from "../log/rows";
import { Button } from "../parts/Button";
import styles from "./Conversation.module.css";
import { useFollowing } from "./following";
import { Prompt } from "./Prompt";
import { RowView } from "./RowView";

export interface ConversationHandle {
  follow: () => void;
}

interface ConversationProps {
  state: SessionState;
  /** Sent from here, not yet told by the log. */
  sending: readonly PromptEntry[];
  /** The event that the address names. */
  at: number | null;
  ref: Ref<ConversationHandle>;
}

/** The log for reading: only what is near the eye is in the page. */
export function Conversation({ state, sending, at, ref }: ConversationProps) {
  const { t } = useTranslation();
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const list = useRef<VirtualizerHandle>(null);
  const { isFollowing, follow } = useFollowing(scroller, content);
  const rows = useRows(state);
  const marked = useDeepLink(rows, at, list);
  useImperativeHandle(ref, () => ({ follow }), [follow]);
  useKeys({ follow });
  return (
    <div className={styles.frame}>
      <div ref={scroller} className={styles.scroller} tabIndex={0} role="log" aria-live="off" aria-label={t("chat.conversation")}>
        <div ref={content} className={styles.content}>
          <Virtualizer ref={list} scrollRef={scroller} bufferSize={400} startMargin={16}>
            {rows.map((row) => (
              <div key={row.id} className={row.id === marked ? styles.marked : styles.row}>
                <RowView row={row} />
              </div>
            ))}
          </Virtualizer>
          {sending.map((entry) => (
            <div key={entry.key} className={styles.row}><Prompt item={{ text: entry.body.prompt }} isSending /></div>
          ))}
        </div>
      </div>
      {!isFollowing && <Button className={styles.newest ?? ""} icon="down" onClick={follow}>{t("chat.newest")}</Button>}
    </div>
  );
}

/** Groups keep their identity while their members do, so that their rows need not be drawn again. */
function useRows(state: SessionState): Row[] {
  const before = useRef(new Map<string, Row>());
  return useMemo(() => {
    const rows = rowsOf(state).map((row) => {
      const old = before.current.get(row.id);
      if (row.kind !== "group" || old?.kind !== "group") return row;
      return old.tools.length === row.tools.length && old.tools.every((tool, at) => tool === row.tools[at]) ? old : row;
    });
    before.current = new Map(rows.map((row) => [row.id, row]));
    return rows;
  }, [state]);
}

function useDeepLink(rows: Row[], at: number | null, list: { current: VirtualizerHandle | null }): string | null {
  const [marked, setMarked] = useState<string | null>(null);
  const done = useRef<number | null>(null);
  useEffect(() => {
    if (at === null || done.current === at || rows.length === 0) return;
    const index = rows.findIndex((row) => row.kind !== "group" ? row.firstSeq <= at && at <= row.lastSeq : row.tools.some((tool) => tool.firstSeq <= at && at <= tool.lastSeq));
    const row = rows[index];
    if (!row) return;
    done.current = at;
    setMarked(row.id);
    requestAnimationFrame(() => list.current?.scrollToIndex(index, { align: "center" }));
  }, [rows, at, list]);
  return marked;
}
