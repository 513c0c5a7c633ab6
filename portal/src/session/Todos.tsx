import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import type { Page, TodoChange } from "../api/types";
import type { SessionState, TodoGroup } from "../log/events";
import { Ago } from "../parts/Ago";
import { Button } from "../parts/Button";
import { Icon } from "../parts/Icon";
import { Meter } from "../parts/Meter";
import { Empty, ErrorNote, Skeleton } from "../parts/Note";
import styles from "./Todos.module.css";

export function countTodos(todos: SessionState["todos"]): { done: number; all: number } {
  const items = [...todos.values()].flatMap((group) => group.items);
  return { done: items.filter((one) => one.status === "completed").length, all: items.length };
}

/** The agent's own plan, by groups, and how it came to be. */
export function Todos({ sessionId, todos }: { sessionId: string; todos: SessionState["todos"] }) {
  const { t } = useTranslation();
  const groups = [...todos.values()].reverse().filter((group) => group.items.length > 0);
  if (groups.length === 0) return <Empty title={t("todos.none")}><p>{t("todos.noneNote")}</p></Empty>;
  return <div className={styles.groups}>{groups.map((group) => <Group key={group.groupId} sessionId={sessionId} group={group} />)}</div>;
}

function Group({ sessionId, group }: { sessionId: string; group: TodoGroup }) {
  const { t } = useTranslation();
  const [hasHistory, setHistory] = useState(false);
  const done = group.items.filter((one) => one.status === "completed").length;
  return (
    <section className={styles.group} aria-label={group.title ?? t("todos.title")}>
      <h3 className={styles.heading}>{group.title ?? t("todos.title")} · {t("todos.progress", { done, all: group.items.length })}</h3>
      <Meter label={t("todos.progress", { done, all: group.items.length })} value={done} max={group.items.length} />
      <ul>
        {group.items.map((item) => (
          <li key={item.id} className={`${styles.item} ${styles[item.status]}`}>
            <span className={styles.sign}>{item.status === "completed" ? <Icon name="check" /> : item.status === "in_progress" ? <Icon name="right" /> : <span className={styles.open} />}</span>
            <span className="unseen">{t(`todos.${item.status}`)}</span>
            <span className={styles.content}>{item.content}</span>
          </li>
        ))}
      </ul>
      <Button look="quiet" aria-expanded={hasHistory} onClick={() => setHistory(!hasHistory)}>{t("todos.history")}</Button>
      {hasHistory && <History sessionId={sessionId} group={group} />}
    </section>
  );
}

/** How the list came to be, newest first, by run. */
function History({ sessionId, group }: { sessionId: string; group: TodoGroup }) {
  const { t } = useTranslation();
  const changes = useInfiniteQuery({
    queryKey: ["todo-changes", sessionId, group.items],
    queryFn: ({ pageParam, signal }) => call<Page<TodoChange>>(`/api/sessions/${sessionId}/todos/events`, { query: { before: pageParam }, signal }),
    initialPageParam: "" as string | number,
    getNextPageParam: (last) => last.nextCursor ?? undefined,
    // a list that is again as it was, such as all done, has a longer history
    staleTime: 0,
    placeholderData: keepPreviousData,
  });
  if (changes.error) return <ErrorNote error={changes.error} onRetry={() => void changes.refetch()} />;
  if (!changes.data) return <Skeleton lines={2} />;
  const known = changes.data.pages.flatMap((page) => page.items).filter((one) => one.groupId === group.groupId);
  return (
    <>
      {byRun(known).map(([first, ...rest]) => (
        <section key={first.seq}>
          <h4 className={styles.run}><Ago at={first.at} /></h4>
          <ol className={styles.history}>
            {[first, ...rest].map((one) => <li key={`${one.seq}${one.itemId}`}>{t(`todos.became.${one.to as "completed"}`, { what: one.content })}</li>)}
          </ol>
        </section>
      ))}
      {changes.hasNextPage && <Button look="quiet" onClick={() => void changes.fetchNextPage()}>{t("common.more")}</Button>}
    </>
  );
}

/** Neighbours of the same run, together. */
function byRun(changes: readonly TodoChange[]): [TodoChange, ...TodoChange[]][] {
  const runs: [TodoChange, ...TodoChange[]][] = [];
  for (const one of changes) {
    const last = runs.at(-1);
    if (last?.[0].runId === one.runId) last.push(one);
    else runs.push([one]);
  }
  return runs;
}
