import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useSearchParams } from "react-router";
import { call, queryOf } from "../api/client";
import type { AuditAnswer, FileAccess } from "../api/types";
import { Icon } from "../parts/Icon";
import { Select } from "../parts/Select";
import { Table } from "../parts/Table";
import button from "../parts/Button.module.css";
import { useRested } from "../session/files/reading";
import { bytes, dateTime } from "../words/numbers";
import { refusalOf } from "../words/server";
import styles from "./Ops.module.css";

const ACTIONS = ["tree", "content", "download", "zip", "diff", "search", "uploads", "restore", "policies", "export"] as const;
const ANY = "any";

/** Who looked at which files, and what was refused; for administrators. */
export function Audit() {
  const { t } = useTranslation();
  const [search, setSearch] = useSearchParams();
  const [text, setText] = useState(search.get("q") ?? "");
  const rested = useRested(text.trim());
  const action = search.get("action") ?? ANY;
  const outcome = search.get("allowed") ?? ANY;
  const filter = { q: rested, action: action === ANY ? "" : action, allowed: outcome === ANY ? "" : outcome };
  const set = (name: string, value: string): void => setSearch((before) => (value === ANY ? before.delete(name) : before.set(name, value), before), { replace: true });
  const rows = useInfiniteQuery({
    queryKey: ["audit", filter],
    queryFn: ({ pageParam, signal }) => call<AuditAnswer>("/api/admin/audit", { query: { ...filter, cursor: pageParam }, signal }),
    initialPageParam: "",
    getNextPageParam: (last) => last.nextCursor ?? undefined,
    placeholderData: keepPreviousData,
  });
  return (
    <>
      <div className={styles.filters}>
        <div className={styles.search}>
          <Icon name="search" size={14} />
          <input type="search" className={styles.field} value={text} aria-label={t("audit.search")} placeholder={t("audit.search")} onChange={(event) => setText(event.target.value)} />
        </div>
        <Select label={t("audit.action")} isBoxed value={action} onChange={(value) => set("action", value)} choices={[{ value: ANY, label: t("audit.allActions") }, ...ACTIONS.map((value) => ({ value, label: t(`audit.did.${value}`) }))]} />
        <Select label={t("audit.outcome")} isBoxed value={outcome} onChange={(value) => set("allowed", value)} choices={[{ value: ANY, label: t("audit.allOutcomes") }, { value: "true", label: t("audit.allowed") }, { value: "false", label: t("audit.refused") }]} />
        <a className={`${button.button} ${button.plain}`} href={`/api/admin/audit/export${queryOf({ ...filter, format: "csv" })}`} download><Icon name="download" />{t("audit.export")}</a>
      </div>
      <Table<FileAccess>
        label={t("ops.audit")}
        rows={rows.data?.pages.flatMap((page) => page.items)}
        rowKey={(row) => row.id}
        empty={t("audit.none")}
        error={rows.error}
        onRetry={() => void rows.refetch()}
        onMore={rows.hasNextPage ? () => void rows.fetchNextPage() : undefined}
        columns={[
          { id: "at", label: t("audit.at"), cell: (row) => <span className={styles.still}>{dateTime(row.at)}</span> },
          { id: "who", label: t("audit.who"), cell: (row) => row.userName ?? "–" },
          { id: "action", label: t("audit.action"), cell: (row) => t(`audit.did.${row.action as (typeof ACTIONS)[number]}`, row.action) },
          { id: "path", label: t("audit.path"), cell: (row) => <Subject row={row} /> },
          { id: "size", label: t("audit.size"), isNumber: true, cell: (row) => (row.bytes == null ? "–" : bytes(row.bytes)) },
          { id: "outcome", label: t("audit.outcome"), cell: (row) => <Outcome row={row} /> },
        ]}
      />
    </>
  );
}

function Subject({ row }: { row: FileAccess }) {
  const { t } = useTranslation();
  const name = row.path || (row.root === "home" ? t("audit.home") : t("audit.workspace"));
  if (!row.sessionId) return <span className={styles.soft}>{row.path ?? "–"}</span>;
  return <Link to={`/s/${row.sessionId}/files`}><code>{name}</code></Link>;
}

function Outcome({ row }: { row: FileAccess }) {
  const { t } = useTranslation();
  const isFine = row.allowed && row.reason === "ok";
  return (
    <span className={isFine ? styles.good : styles.refused} title={isFine ? undefined : row.reason}>
      <Icon name={isFine ? "check" : "cross"} size={14} />
      {isFine ? t("audit.allowed") : refusalOf(row.reason)}
    </span>
  );
}
