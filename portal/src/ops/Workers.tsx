import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import type { Page, Worker } from "../api/types";
import { Ago } from "../parts/Ago";
import { IconButton } from "../parts/Button";
import { Menu } from "../parts/Menu";
import { Dot } from "../parts/Status";
import { Table } from "../parts/Table";
import { toast } from "../parts/toast";
import { WhyDialog } from "../session/Why";
import { age, dateTime, useNow } from "../words/numbers";
import { sentenceOf } from "../words/server";
import { OfSession } from "./OfSession";
import styles from "./Ops.module.css";

const VERBS = [
  { id: "activate", path: "activate" },
  { id: "sync", path: "sync" },
  { id: "stop", path: "cleanup/idle" },
] as const;

/** Every session's worker: what it does, up to where it is saved, what comes next, and its verbs. */
export function Workers() {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const [why, setWhy] = useState<string | null>(null);
  const workers = useInfiniteQuery({
    queryKey: ["workers"],
    queryFn: ({ pageParam, signal }) => call<Page<Worker>>("/api/session-workers", { query: { cursor: pageParam }, signal }),
    initialPageParam: "" as string | number,
    getNextPageParam: (last) => last.nextCursor ?? undefined,
    refetchInterval: 10_000,
  });
  const act = (sessionId: string, verb: string, method: "POST" | "DELETE" = "POST"): void => {
    const path = `/api/session-workers/${sessionId}${verb ? `/${verb}` : ""}`;
    void call(path, method === "POST" ? { method, body: {} } : { method })
      .then(() => toast(t("ops.done")))
      .catch((error: unknown) => toast(t("ops.notDone"), sentenceOf(error)))
      .finally(() => void cache.invalidateQueries({ queryKey: ["workers"] }));
  };
  return (
    <>
      <Table<Worker>
        label={t("ops.workers")}
        rows={workers.data?.pages.flatMap((page) => page.items)}
        rowKey={(row) => row.sessionId}
        empty={t("ops.noWorkers")}
        emptyNote={t("ops.noWorkersNote")}
        error={workers.error}
        onRetry={() => void workers.refetch()}
        onMore={workers.hasNextPage ? () => void workers.fetchNextPage() : undefined}
        columns={[
          { id: "session", label: t("ops.session"), cell: (row) => <OfSession row={row} /> },
          { id: "user", label: t("ops.user"), cell: (row) => <span className={styles.still}>{row.userName ?? "–"}</span> },
          { id: "status", label: t("ops.status"), cell: (row) => <span className={styles.still}><Dot status={row.status} /> {t(`worker.${row.status}`, row.status)}</span> },
          { id: "since", label: t("ops.since"), isNumber: true, cell: (row) => <Ago at={row.statusSince} /> },
          { id: "host", label: t("ops.host"), cell: (row) => <span className={styles.still}>{row.host}</span> },
          { id: "saved", label: t("ops.saved"), cell: (row) => <SyncCell worker={row} /> },
          { id: "next", label: t("ops.next"), cell: (row) => <NextCell worker={row} /> },
          {
            id: "verbs",
            label: t("ops.actions"),
            cell: (row) => (
              <Menu
                trigger={<IconButton icon="more" label={t("ops.actionsOf", { name: row.sessionTitle || row.sessionId.slice(0, 8) })} />}
                choices={[
                  { id: "why", label: t("why.title"), icon: "search", run: () => setWhy(row.sessionId) },
                  ...VERBS.map((verb) => ({ id: verb.id, label: t(`ops.${verb.id}`), run: () => act(row.sessionId, verb.path) })),
                  { id: "remove", label: t("ops.remove"), icon: "trash" as const, isIll: true, run: () => act(row.sessionId, "", "DELETE") },
                ]}
              />
            ),
          },
        ]}
      />
      {why && <WhyDialog kind="workers" id={why} onClose={() => setWhy(null)} />}
    </>
  );
}

/** What happens next by itself, and how long that takes; the exact time on hovering. */
function NextCell({ worker: { nextDeadline, nextStep } }: { worker: Worker }) {
  const { t } = useTranslation();
  const left = Date.parse(nextDeadline ?? "") - useNow(15_000);
  if (!nextDeadline || !nextStep) return <>–</>;
  return <time className={styles.still} dateTime={nextDeadline} title={dateTime(nextDeadline)}>{left > 0 ? t(`next.${nextStep}`, { when: age(left) }) : t(`due.${nextStep}`)}</time>;
}

function SyncCell({ worker: { sync } }: { worker: Worker }) {
  const { t } = useTranslation();
  if (sync.failures > 0) return <>{t("ops.failures", { count: sync.failures })}</>;
  if (sync.dirtySince) return <>{t("ops.dirty")} <Ago at={sync.dirtySince} /></>;
  return <>{sync.syncedAt ? <Ago at={sync.syncedAt} isSaid /> : "–"}</>;
}
