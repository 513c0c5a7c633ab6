import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "react-router";
import { call } from "../api/client";
import { orNull } from "../api/queries";
import type { Page as PageOf, UsageRow } from "../api/types";
import { Empty } from "../parts/Note";
import { Select } from "../parts/Select";
import { Table } from "../parts/Table";
import { Page } from "../shell/Page";
import { day, money, shortNumber } from "../words/numbers";
import { UsageBars } from "./UsageBars";

const GROUPS = ["day", "session", "app", "user", "provider", "model"] as const;
const SPANS = { week: 7, month: 30, quarter: 90 } as const;
type Group = (typeof GROUPS)[number];
type SpanName = keyof typeof SPANS;

/** Tokens and cost, by what one asks for. What is unknown is shown as unknown. */
export function UsagePage() {
  const { t } = useTranslation();
  const [search, setSearch] = useSearchParams();
  const groupBy = (GROUPS as readonly string[]).includes(search.get("by") ?? "") ? (search.get("by") as Group) : "day";
  const [span, setSpan] = useState<SpanName>("month");
  const usage = useUsage(groupBy, SPANS[span]);
  const rows = usage.data?.pages.flatMap((page) => page?.items ?? []);
  const titleOf = (row: UsageRow): string => (groupBy === "day" ? day(row.key) : row.title || row.key);
  return (
    <Page
      title={t("shell.usage")}
      isWide
      actions={
        <>
          <Select label={t("usage.by")} isBoxed value={groupBy} onChange={(by) => setSearch({ by }, { replace: true })} choices={GROUPS.map((one) => ({ value: one, label: t(`usage.${one}`) }))} />
          <Select label={t("usage.span")} isBoxed value={span} onChange={(one) => setSpan(one as SpanName)} choices={(Object.keys(SPANS) as SpanName[]).map((one) => ({ value: one, label: t(`usage.${one}`) }))} />
        </>
      }
    >
      {usage.data?.pages[0] === null ? (
        <Empty title={t("common.notHere")} />
      ) : (
        <>
          {rows && rows.length > 1 && <UsageBars rows={rows.map((row) => ({ key: row.key, label: titleOf(row), input: row.inputTokens ?? 0, output: row.outputTokens ?? 0 }))} />}
          <Table<UsageRow>
            label={t("shell.usage")}
            rows={rows}
            rowKey={(row) => row.key}
            empty={t("usage.none")}
            emptyNote={t("usage.noneNote")}
            error={usage.error}
            onRetry={() => void usage.refetch()}
            onMore={usage.hasNextPage ? () => void usage.fetchNextPage() : undefined}
            columns={[
              { id: "key", label: t(`usage.${groupBy}`), cell: titleOf },
              { id: "runs", label: t("usage.runs"), isNumber: true, cell: (row) => shortNumber(row.runs) },
              { id: "in", label: t("usage.input"), isNumber: true, cell: (row) => tokens(row.inputTokens) },
              { id: "out", label: t("usage.output"), isNumber: true, cell: (row) => tokens(row.outputTokens) },
              { id: "cached", label: t("usage.cached"), isNumber: true, cell: (row) => tokens(row.cachedReadTokens) },
              { id: "cost", label: t("usage.cost"), isNumber: true, cell: (row) => <Cost row={row} /> },
            ]}
          />
        </>
      )}
    </Page>
  );
}

const tokens = (value: number | null | undefined): string => (value == null ? "–" : shortNumber(value));

function Cost({ row }: { row: UsageRow }) {
  const { t } = useTranslation();
  const known = row.cost.map((one) => money(one.amount, one.currency)).join(" + ");
  const unknown = row.withoutCost > 0 ? t("usage.withoutCost", { count: row.withoutCost }) : "";
  return <>{[known, unknown].filter(Boolean).join(" · ") || "–"}</>;
}

function useUsage(groupBy: Group, days: number) {
  const from = new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10);
  return useInfiniteQuery({
    queryKey: ["usage", groupBy, from],
    queryFn: ({ pageParam, signal }) => orNull(call<PageOf<UsageRow>>("/api/usage", { query: { groupBy, from: `${from}T00:00:00Z`, cursor: pageParam }, signal })),
    initialPageParam: "" as string | number,
    getNextPageParam: (last) => last?.nextCursor ?? undefined,
  });
}
