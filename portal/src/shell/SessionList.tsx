import { useEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate, useParams } from "react-router";
import { usePending, useSessions } from "../api/queries";
import { useKeys } from "../keys";
import { Button } from "../parts/Button";
import { Empty, ErrorNote, Skeleton } from "../parts/Note";
import { useNow } from "../words/numbers";
import { groupSessions } from "./sessionGroups";
import styles from "./SessionList.module.css";
import { SessionRow } from "./SessionRow";

const SORTED = { sort: "activity" };
const ARCHIVE = { sort: "activity", archived: "true" };

/** Needs you, running, pinned, then by day; older ones are read as one scrolls. */
export function SessionList() {
  const { t } = useTranslation();
  const [isArchive, setArchive] = useState(false);
  const sessions = useSessions(isArchive ? ARCHIVE : SORTED);
  const pending = usePending();
  const now = useNow(60_000);
  const { session: open } = useParams();
  const go = useNavigate();
  const waiting = useMemo(() => new Set(pending.data?.items.map((one) => one.sessionId)), [pending.data]);
  const all = useMemo(() => sessions.data?.pages.flatMap((page) => page.items).filter((one) => Boolean(one.archived) === isArchive) ?? [], [sessions.data, isArchive]);
  const groups = useMemo(() => groupSessions(all, waiting, now), [all, waiting, now]);
  const step = (by: number): void => {
    const ids = groups.flatMap((group) => group.sessions.map((one) => one.sessionId));
    const next = ids[ids.indexOf(open ?? "") + by];
    if (next) void go(`/s/${next}`);
  };
  useKeys({ previousSession: () => step(-1), nextSession: () => step(1) });
  if (sessions.isPending) return <div className={styles.list}><Skeleton lines={6} /></div>;
  return (
    <div className={styles.list}>
      {sessions.error && all.length === 0 && <ErrorNote error={sessions.error} onRetry={() => void sessions.refetch()} />}
      {!sessions.error && !isArchive && all.length === 0 && <Empty title={t("sessions.none")}><p>{t("sessions.first")}</p></Empty>}
      {groups.map((group) => (
        <section key={group.name} aria-label={t(`sessions.${group.name}`)}>
          <h2 className={styles.heading}>{t(`sessions.${group.name}`)}</h2>
          <ul>
            {group.sessions.map((session) => (
              <SessionRow key={session.sessionId} session={session} isWaiting={group.name === "needsYou"} isOpen={session.sessionId === open} />
            ))}
          </ul>
        </section>
      ))}
      {isArchive && all.length === 0 && !sessions.error && <p className={styles.none}>{t("sessions.noneArchived")}</p>}
      <Button look="quiet" icon="archive" className={styles.archive ?? ""} aria-pressed={isArchive} onClick={() => setArchive(!isArchive)}>{t("sessions.archived")}</Button>
      {sessions.hasNextPage && <More onSeen={() => void sessions.fetchNextPage()} />}
    </div>
  );
}

function More({ onSeen }: { onSeen: () => void }) {
  const end = useRef<HTMLDivElement>(null);
  const seen = useRef(onSeen);
  useEffect(() => {
    seen.current = onSeen;
  });
  useEffect(() => {
    const watcher = new IntersectionObserver((entries) => entries.some((one) => one.isIntersecting) && seen.current());
    if (end.current) watcher.observe(end.current);
    return () => watcher.disconnect();
  }, []);
  return <div ref={end} className={styles.more} />;
}
