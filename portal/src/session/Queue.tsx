import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import { keys, useQueue } from "../api/queries";
import type { QueueItem } from "../api/types";
import { IconButton, Button } from "../parts/Button";
import { Empty, ErrorNote } from "../parts/Note";
import { toast } from "../parts/toast";
import { sentenceOf } from "../words/server";
import { Attached } from "./Attached";
import styles from "./Queue.module.css";
import { WhyDialog } from "./Why";

interface QueueProps {
  sessionId: string;
  /** Ids of the runs that wait, as the log has them. */
  waiting: readonly string[];
  /** A run whose prompt is to be edited at once. */
  editing?: string | null;
  onEdited?: () => void;
  isCompact?: boolean;
}

/** Prompts that wait their turn: edit, move, take out. */
export function Queue({ sessionId, waiting, editing = null, onEdited, isCompact }: QueueProps) {
  const { t } = useTranslation();
  const queue = useQueue(sessionId, waiting.length > 0);
  const cache = useQueryClient();
  const mark = waiting.join();
  useEffect(() => {
    if (mark) void cache.invalidateQueries({ queryKey: keys.queue(sessionId) });
  }, [mark, sessionId, cache]);
  if (waiting.length === 0) return isCompact ? null : <Empty title={t("queue.none")}><p>{t("queue.noneNote")}</p></Empty>;
  if (queue.error) return <ErrorNote error={queue.error} onRetry={() => void queue.refetch()} />;
  const items = (queue.data?.items ?? []).filter((one) => waiting.includes(one.runId));
  // a run that begins leaves the server's list a moment before the log says so
  if (isCompact && items.length === 0) return null;
  return (
    <section className={isCompact ? styles.compact : styles.queue} aria-label={t("queue.title")}>
      {isCompact && <h3 className={styles.heading}>{t("queue.count", { count: items.length })}</h3>}
      <ol>
        {items.map((item, at) => (
          <QueueRow key={item.runId} item={item} before={items[at - 1]} after={items[at + 1]} startsEditing={editing === item.runId} {...(onEdited && { onEdited })} />
        ))}
      </ol>
    </section>
  );
}

interface QueueRowProps {
  item: QueueItem;
  before: QueueItem | undefined;
  after: QueueItem | undefined;
  startsEditing: boolean;
  onEdited?: () => void;
}

function QueueRow({ item, before, after, startsEditing, onEdited }: QueueRowProps) {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const [isEditing, setEditing] = useState(startsEditing);
  const [isAsking, setAsking] = useState(false);
  useEffect(() => setEditing(startsEditing), [startsEditing]);
  const act = (method: "PATCH" | "DELETE", body?: object): void => {
    void call(`/api/runs/queue/${item.runId}`, { method, ...(body ? { body } : { query: { revision: item.revision } }) })
      .catch((error: unknown) => toast(t("queue.notChanged"), sentenceOf(error)))
      .finally(() => void cache.invalidateQueries({ queryKey: keys.queue(item.sessionId) }).then(() => cache.invalidateQueries({ queryKey: ["queue"] })));
  };
  const change = (body: object): void => act("PATCH", { revision: item.revision, ...body });
  const close = (): void => {
    setEditing(false);
    onEdited?.();
  };
  if (isEditing) return <li><QueueEditor prompt={item.prompt} onClose={close} onSave={(prompt) => (change({ prompt }), close())} /></li>;
  const isFixed = item.attempts > 0;
  return (
    <li className={styles.row}>
      <div className={styles.what}>
        <div className={styles.prompt} title={item.prompt}>{item.prompt}</div>
        {item.attachments && item.attachments.length > 0 && <Attached paths={item.attachments} />}
      </div>
      <IconButton icon="why" label={t("queue.why")} onClick={() => setAsking(true)} />
      {isAsking && <WhyDialog kind="runs" id={item.runId} onClose={() => setAsking(false)} />}
      {!isFixed && (
        <>
          <IconButton icon="up" label={t("queue.up")} disabled={!before} onClick={() => before && change({ place: { before: before.runId } })} />
          <IconButton icon="down" label={t("queue.down")} disabled={!after} onClick={() => after && change({ place: { after: after.runId } })} />
          <IconButton icon="edit" label={t("queue.edit")} onClick={() => setEditing(true)} />
        </>
      )}
      <IconButton icon="trash" label={t("queue.remove")} onClick={() => act("DELETE")} />
    </li>
  );
}

function QueueEditor({ prompt, onSave, onClose }: { prompt: string; onSave: (prompt: string) => void; onClose: () => void }) {
  const { t } = useTranslation();
  const [text, setText] = useState(prompt);
  return (
    <form className={styles.editor} onSubmit={(event) => (event.preventDefault(), onSave(text))}>
      <textarea autoFocus rows={3} aria-label={t("queue.edit")} value={text} onChange={(event) => setText(event.target.value)} onKeyDown={(event) => event.key === "Escape" && onClose()} />
      <Button look="primary" type="submit" disabled={!text.trim()}>{t("common.save")}</Button>
      <Button onClick={onClose}>{t("common.cancel")}</Button>
    </form>
  );
}
