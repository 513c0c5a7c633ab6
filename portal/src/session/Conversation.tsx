import { useCallback, useImperativeHandle, useMemo, useRef, type Ref } from "react";
import { useTranslation } from "react-i18next";
import { Virtualizer, type VirtualizerHandle } from "virtua";
import { useKeys } from "../keys";
import { feedOf, useFromLog } from "../live";
import type { PromptEntry } from "../log/outbox";
import { rowsOf, type Row } from "../log/rows";
import { Button } from "../parts/Button";
import styles from "./Conversation.module.css";
import { useFollowing } from "./following";
import { Prompt } from "./Prompt";
import { useDeepLink, useIsPrepended, useOlder } from "./reading";
import { useRowKeys } from "./rowKeys";
import { RowView } from "./RowView";

export interface ConversationHandle {
  follow: () => void;
}

interface ConversationProps {
  sessionId: string;
  /** Sent from here, not yet told by the log. */
  sending: readonly PromptEntry[];
  /** The event that the address names. */
  at: number | null;
  hasOlder: boolean;
  onOlder: () => Promise<void>;
  ref: Ref<ConversationHandle>;
}

/** The log for reading: only what is near the eye is in the page. */
export function Conversation({ sessionId, sending, at, hasOlder, onOlder, ref }: ConversationProps) {
  const { t } = useTranslation();
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const list = useRef<VirtualizerHandle>(null);
  const { isFollowing, follow, leave } = useFollowing(scroller, content);
  const rows = useRows(sessionId);
  const isPrepended = useIsPrepended(rows);
  const marked = useDeepLink({ rows, at, list, hasOlder, onOlder, leave });
  useOlder({ scroller, hasOlder, onOlder, rows });
  useImperativeHandle(ref, () => ({ follow }), [follow]);
  useKeys({ follow });
  const chosen = useRowKeys(sessionId, rows, list, leave);
  // the list asks only for the rows near the eye: a row that is far costs nothing when another changes
  const draw = useCallback(
    (row: Row) => (
      <div key={row.id} data-row={row.id} data-chosen={row.id === chosen} className={row.id === marked ? styles.marked : styles.row}>
        <RowView sessionId={sessionId} row={row} />
      </div>
    ),
    [sessionId, chosen, marked],
  );
  return (
    <div className={styles.frame}>
      <div ref={scroller} className={styles.scroller} tabIndex={0} role="log" aria-live="off" aria-label={t("chat.conversation")}>
        <div ref={content} className={styles.content}>
          <Virtualizer ref={list} data={rows} scrollRef={scroller} bufferSize={400} startMargin={16} shift={isPrepended}>
            {draw}
          </Virtualizer>
          {sending.map((entry) => (
            <div key={entry.key} className={styles.row}><Prompt item={{ text: entry.body.prompt, ...(entry.body.attachments && { attachments: entry.body.attachments }) }} isSending /></div>
          ))}
        </div>
      </div>
      {!isFollowing && <Button className={styles.newest ?? ""} icon="down" onClick={follow}>{t("chat.newest")}</Button>}
    </div>
  );
}

/** The rows, made anew when more than a text's length changed. Groups keep their identity while their members do, so
 * that their rows need not be drawn again. */
function useRows(sessionId: string): Row[] {
  const order = useFromLog(sessionId, (state) => state.order);
  const rowsSeq = useFromLog(sessionId, (state) => state.rowsSeq);
  const before = useRef(new Map<string, Row>());
  return useMemo(() => {
    const rows = rowsOf(feedOf(sessionId).state).map((row) => {
      const old = before.current.get(row.id);
      if (row.kind !== "group" || old?.kind !== "group") return row;
      return old.tools.length === row.tools.length && old.tools.every((tool, at) => tool === row.tools[at]) ? old : row;
    });
    before.current = new Map(rows.map((row) => [row.id, row]));
    return rows;
    // the state itself changes with each word: these two say when its rows do
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [sessionId, order, rowsSeq]);
}
