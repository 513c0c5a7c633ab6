import { useInfiniteQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { call } from "../api/client";
import { orNull } from "../api/queries";
import type { AskedRequest, Page } from "../api/types";
import { Ago } from "../parts/Ago";
import { Empty } from "../parts/Note";
import { Table } from "../parts/Table";
import { useWho } from "../session/who";
import styles from "./Inbox.module.css";

/** Who decided what, newest first. */
export function Closed() {
  const { t } = useTranslation();
  const closed = useInfiniteQuery({
    queryKey: ["requests", "closed"],
    queryFn: ({ pageParam, signal }) => orNull(call<Page<AskedRequest>>("/api/human-loop", { query: { status: "closed", cursor: pageParam }, signal })),
    initialPageParam: "" as string | number,
    getNextPageParam: (last) => last?.nextCursor ?? undefined,
  });
  if (closed.data?.pages[0] === null) return <Empty title={t("common.notHere")} />;
  return (
    <Table<AskedRequest>
      label={t("inbox.closed")}
      rows={closed.data?.pages.flatMap((page) => page?.items ?? [])}
      rowKey={(row) => row.requestId}
      empty={t("inbox.noneClosed")}
      error={closed.error}
      onRetry={() => void closed.refetch()}
      onMore={closed.hasNextPage ? () => void closed.fetchNextPage() : undefined}
      columns={[
        { id: "what", label: t("inbox.what"), cell: (row) => row.title },
        { id: "session", label: t("inbox.session"), cell: (row) => <Link className={styles.session} to={`/s/${row.sessionId}`}>{row.sessionTitle || t("sessions.untitled")}</Link> },
        { id: "decision", label: t("inbox.decision"), cell: (row) => <Decided request={row} /> },
        { id: "when", label: t("inbox.when"), isNumber: true, cell: (row) => <Ago at={row.decidedAt ?? row.requestedAt} /> },
      ]}
    />
  );
}

function Decided({ request }: { request: AskedRequest }) {
  const { t } = useTranslation();
  const who = useWho(request.decidedBy ?? null);
  return <span className={styles.decided}>{t(`inbox.decided.${request.decision ?? "cancel"}`, { who })}</span>;
}
