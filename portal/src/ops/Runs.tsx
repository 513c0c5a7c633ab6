import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import { orNull } from "../api/queries";
import type { ListedRun, Page } from "../api/types";
import { Ago } from "../parts/Ago";
import { Button } from "../parts/Button";
import { Empty } from "../parts/Note";
import { RunStatusLabel } from "../parts/Status";
import { Table } from "../parts/Table";
import { WhyDialog } from "../session/Why";
import { whyOf } from "../words/server";
import { OfSession } from "./OfSession";
import styles from "./Ops.module.css";

const QUERY = { queue: { status: "queued" }, stuck: { stuck: "true" } } as const;

/** Runs over all sessions: those that wait their turn, or those that do not move, each with why. */
export function Runs({ kind }: { kind: "queue" | "stuck" }) {
  const { t } = useTranslation();
  const [why, setWhy] = useState<string | null>(null);
  const runs = useInfiniteQuery({
    queryKey: ["runs", kind],
    queryFn: ({ pageParam, signal }) => orNull(call<Page<ListedRun>>("/api/runs", { query: { ...QUERY[kind], cursor: pageParam }, signal })),
    initialPageParam: "" as string | number,
    getNextPageParam: (last) => last?.nextCursor ?? undefined,
    refetchInterval: 10_000,
  });
  if (runs.data?.pages[0] === null) return <Empty title={t("common.notHere")} />;
  return (
    <>
      <Table<ListedRun>
        label={t(`ops.${kind}`)}
        rows={runs.data?.pages.flatMap((page) => page?.items ?? [])}
        rowKey={(row) => row.runId}
        empty={t(kind === "queue" ? "ops.noQueue" : "ops.noStuck")}
        emptyNote={t(kind === "queue" ? "ops.noQueueNote" : "ops.noStuckNote")}
        error={runs.error}
        onRetry={() => void runs.refetch()}
        onMore={runs.hasNextPage ? () => void runs.fetchNextPage() : undefined}
        columns={[
          { id: "session", label: t("ops.session"), cell: (row) => <OfSession row={row} /> },
          { id: "user", label: t("ops.user"), cell: (row) => row.userName },
          { id: "status", label: t("ops.status"), cell: (row) => <RunStatusLabel status={row.status} /> },
          { id: "provider", label: t("ops.provider"), cell: (row) => row.provider },
          { id: "attempt", label: t("ops.attempt"), isNumber: true, cell: (row) => `${row.attempt}/${row.maxAttempts}` },
          { id: "since", label: t("ops.since"), isNumber: true, cell: (row) => <Ago at={row.createdAt} /> },
          { id: "why", label: t("why.title"), cell: (row) => <Button look="quiet" className={styles.why ?? ""} onClick={() => setWhy(row.runId)}>{row.why ? whyOf({ reason: row.why, code: row.whyCode ?? null, values: row.whyValues ?? {} }) : t("why.title")}</Button> },
        ]}
      />
      {why && <WhyDialog kind="runs" id={why} onClose={() => setWhy(null)} />}
    </>
  );
}
