import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import type { Page, TodoChange } from "../api/types";
import type { SessionState, TodoGroup } from "../log/events";
import { Ago } from "../parts/Ago";
import { Button } from "../parts/Button";
import { Icon } from "../parts/Icon";
import { Meter } from "../parts/Meter";
import { Empty, Skeleton } from "../parts/Note";
import styles from "./Todos.module.css";

export function countTodos(state: SessionState): { done: number; all: number } {
  const items = [...state.todos.values()].flatMap((group) => group.items);
  return { done: items.filter((one) => one.status === "completed").length, all: items.length };
}

/** The agent's own plan, by groups, and how it came to be. */
export function Todos({ state }: { state: SessionState }) {
  const { t } = useTranslation();
  const groups = [...state.todos.values()].reverse().filter((group) => group.items.length > 0);
  if (groups.length === 0) return <Empty title={t("todos.none")}><p>{t("todos.noneNote")}</p></Empty>;
  return <div className={styles.groups}>{groups.map((group) => <Group key={group.groupId} group={group} />)}</div>;
}

function Group({ group }: { group: TodoGroup }) {
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
      {group.runId && <Button look="quiet" aria-expanded={hasHistory} onClick={() => setHistory(!hasHistory)}>{t("todos.history")}</Button>}
      {hasHistory && group.runId && <History group={group} runId={group.runId} />}
    </section>
  );
}

function History({ group, runId }: { group: TodoGroup; runId: string }) {
  const { t } = useTranslation();
  const changes = useQuery({
    queryKey: ["todo-changes", runId, group.items],
    queryFn: ({ signal }) => call<Page<TodoChange>>(`/api/runs/${runId}/todos/events`, { signal }),
  });
  if (!changes.data) return <Skeleton lines={2} />;
  const names = new Map(group.items.map((item) => [item.id, item.content]));
  return (
    <ol className={styles.history}>
      {changes.data.items.filter((one) => one.groupId === group.groupId).reverse().map((one) => (
        <li key={`${one.seq}${one.itemId}`}>
          <span>{t(`todos.became.${one.to as "completed"}`, { what: names.get(one.itemId) ?? "" })}</span>
          <span className={styles.when}><Ago at={one.at} /></span>
        </li>
      ))}
    </ol>
  );
}
