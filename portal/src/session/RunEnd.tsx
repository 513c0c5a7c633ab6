import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { RunEndItem, Usage } from "../log/events";
import { Button } from "../parts/Button";
import { Dot } from "../parts/Status";
import { toast } from "../parts/toast";
import { duration, money, shortNumber } from "../words/numbers";
import { sentenceOf } from "../words/server";
import { Reason } from "./Reason";
import { useRetry } from "./retry";
import styles from "./Rows.module.css";
import { WhyDialog } from "./Why";

/** How a run ended, what it took, and, if it did not succeed, what can be done. */
export function RunEnd({ item }: { item: RunEndItem }) {
  const { t } = useTranslation();
  const [isAsking, setAsking] = useState(false);
  const retry = useRetry();
  const isBad = item.status === "failed" || item.status === "blocked";
  const ms = item.startedAt ? Date.parse(item.at) - Date.parse(item.startedAt) : 0;
  const facts = [t(`status.${item.status}`), item.startedAt ? duration(ms) : "", ...usageFacts(item.usage)].filter(Boolean);
  const again = (): void => {
    retry(item.runId ?? "").catch((error: unknown) => toast(t("run.notRetried"), sentenceOf(error)));
  };
  return (
    <div className={isBad ? styles.bad : styles.end}>
      <div className={styles.endLine}>
        <Dot status={item.status} />
        <span>{facts.join(" · ")}</span>
      </div>
      {item.reason && <Reason reason={item.reason} />}
      {(isBad || item.status === "cancelled") && (
        <div className={styles.endTools}>
          <Button icon="refresh" onClick={again}>{t("run.retry")}</Button>
          <Button look="quiet" onClick={() => setAsking(true)}>{t("why.title")}</Button>
        </div>
      )}
      {isAsking && item.runId && <WhyDialog kind="runs" id={item.runId} onClose={() => setAsking(false)} />}
    </div>
  );
}

export function usageFacts(usage: Usage | null): string[] {
  if (!usage) return [];
  const facts: string[] = [];
  const tokens = (usage.inputTokens ?? 0) + (usage.outputTokens ?? 0);
  if (tokens > 0) facts.push(`↑ ${shortNumber(usage.inputTokens ?? 0)} ↓ ${shortNumber(usage.outputTokens ?? 0)}`);
  if (usage.cost?.amount != null && usage.cost.currency && usage.cost.source !== "unavailable")
    facts.push(money(usage.cost.amount, usage.cost.currency));
  return facts;
}
