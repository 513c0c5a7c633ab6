import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useSearchParams } from "react-router";
import { askOfRequest } from "../ask/asked";
import { AskCard } from "../ask/AskCard";
import { usePending } from "../api/queries";
import { useKeys } from "../keys";
import { Ago } from "../parts/Ago";
import { Empty, ErrorNote, Skeleton } from "../parts/Note";
import { Tabs } from "../parts/Tabs";
import { Page } from "../shell/Page";
import { Closed } from "./Closed";
import styles from "./Inbox.module.css";

/** Everything that waits for a person, oldest expiry first, and who decided what before. */
export function Inbox() {
  const { t } = useTranslation();
  const [search, setSearch] = useSearchParams();
  const tab = search.has("closed") ? "closed" : "open";
  return (
    <Page title={t("shell.inbox")}>
      <Tabs
        label={t("shell.inbox")}
        value={tab}
        tabs={[{ value: "open", label: t("inbox.open") }, { value: "closed", label: t("inbox.closed") }]}
        onChange={(next) => setSearch(next === "closed" ? { closed: "" } : {}, { replace: true })}
      >
        {tab === "open" ? <Open /> : <Closed />}
      </Tabs>
    </Page>
  );
}

function Open() {
  const { t } = useTranslation();
  const pending = usePending();
  const [chosen, setChosen] = useState<string | null>(null);
  const items = [...(pending.data?.items ?? [])].sort((a, b) => (a.expiresAt ?? "9").localeCompare(b.expiresAt ?? "9"));
  const at = Math.max(0, items.findIndex((one) => one.requestId === chosen));
  const step = (by: number): void => setChosen(items[Math.min(items.length - 1, Math.max(0, at + by))]?.requestId ?? null);
  useKeys({ nextRow: () => step(1), previousRow: () => step(-1) });
  const current = items[at]?.requestId;
  useEffect(() => {
    if (chosen) document.getElementById(`ask-${chosen}`)?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  if (pending.error && !pending.data) return <ErrorNote error={pending.error} onRetry={() => void pending.refetch()} />;
  if (!pending.data) return <Skeleton />;
  if (items.length === 0) return <Empty title={t("inbox.none")}><p>{t("inbox.noneNote")}</p></Empty>;
  return (
    <>
      <ul className={styles.list}>
        {items.map((request) => (
          <li key={request.requestId} id={`ask-${request.requestId}`} className={request.requestId === current ? styles.current : styles.item} onPointerDown={() => setChosen(request.requestId)}>
            <div className={styles.from}>
              <Link to={`/s/${request.sessionId}`}>{request.sessionTitle || t("sessions.untitled")}</Link>
              <span className={styles.age}><Ago at={request.requestedAt} /></span>
            </div>
            <AskCard ask={askOfRequest(request)} hasKeys={request.requestId === current} />
          </li>
        ))}
      </ul>
      {pending.data.nextCursor != null && <p className={styles.more}>{t("inbox.more")}</p>}
    </>
  );
}
