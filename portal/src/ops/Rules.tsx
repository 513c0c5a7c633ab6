import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import type { Page, Rule } from "../api/types";
import { RuleWords } from "../ask/RuleWords";
import { Ago } from "../parts/Ago";
import { Button } from "../parts/Button";
import { Table } from "../parts/Table";
import { toast } from "../parts/toast";
import { sentenceOf } from "../words/server";
import styles from "./Ops.module.css";

/** Rules that answer for people, and their end. */
export function Rules() {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const rules = useQuery({ queryKey: ["rules"], queryFn: ({ signal }) => call<Page<Rule>>("/api/human-loop/rules", { signal }) });
  const retire = (rule: Rule): void => {
    void call(`/api/human-loop/rules/${rule.ruleId}`, { method: "DELETE", query: { version: rule.version } })
      .catch((error: unknown) => toast(t("ops.notDone"), sentenceOf(error)))
      .finally(() => void cache.invalidateQueries({ queryKey: ["rules"] }));
  };
  return (
    <Table<Rule>
      label={t("ops.rules")}
      rows={rules.data?.items}
      rowKey={(row) => row.ruleId}
      empty={t("ops.noRules")}
      emptyNote={t("ops.noRulesNote")}
      error={rules.error}
      onRetry={() => void rules.refetch()}
      columns={[
        { id: "effect", label: t("ops.effect"), cell: (row) => t(`effect.${row.effect}`, row.effect) },
        { id: "covers", label: t("ops.covers"), cell: (row) => <RuleWords rule={row} /> },
        { id: "note", label: t("ops.note"), cell: (row) => <span className={styles.soft}>{row.note ?? "–"}</span> },
        { id: "since", label: t("ops.since"), isNumber: true, cell: (row) => <Ago at={row.createdAt} /> },
        { id: "end", label: t("ops.actions"), cell: (row) => (row.retiredAt ? t("ops.retired") : <Button look="ill" onClick={() => retire(row)}>{t("ops.retire")}</Button>) },
      ]}
    />
  );
}
