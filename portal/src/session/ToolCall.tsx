import { memo, useMemo } from "react";
import { useTranslation } from "react-i18next";
import type { ToolItem } from "../log/events";
import { toolMs } from "../log/rows";
import { Icon } from "../parts/Icon";
import { duration, useNow } from "../words/numbers";
import { countChanges, lineDiff } from "./lineDiff";
import { useOpen } from "./opened";
import { withShortPaths } from "./paths";
import styles from "./Rows.module.css";
import { ToolDetail } from "./ToolDetail";
import { iconOf, kindOf, withoutVerb } from "./verbs";

/** One line: sign, verb, what, lines changed, time; what went in and came out opens in place. */
export const ToolCall = memo(function ToolCall({ item }: { item: ToolItem }) {
  const { t } = useTranslation();
  const [isOpen, toggle] = useOpen(item.id);
  const changes = useChanges(item);
  const isFailed = item.status === "failed";
  return (
    <div className={styles.step} data-failed={isFailed}>
      <button type="button" className={styles.line} aria-expanded={isOpen} onClick={toggle} data-keep>
        <span className={styles.sign}><Icon name={isFailed ? "cross" : iconOf(item.toolKind)} /></span>
        <span className={styles.verb}>{t(`tool.${kindOf(item.toolKind)}`)}</span>
        <span className={styles.what}>{withoutVerb(withShortPaths(item.title, workspaceOf(item)), item.toolKind)}</span>
        {isFailed && <span className={styles.failed}>{t("tool.failed")}</span>}
        {changes && (
          <span className={styles.changes}>
            <span className={styles.plus}>+{changes.added}</span>{changes.removed > 0 && <span className={styles.minus}>{` −${changes.removed}`}</span>}
          </span>
        )}
        <Elapsed item={item} />
      </button>
      {isOpen && <ToolDetail item={item} />}
    </div>
  );
});

function useChanges(item: ToolItem): { added: number; removed: number } | null {
  return useMemo(() => {
    if (item.diffs.length === 0) return null;
    return countChanges(item.diffs.flatMap((one) => lineDiff(one.oldText ?? "", one.newText ?? "")));
  }, [item.diffs]);
}

function Elapsed({ item }: { item: ToolItem }) {
  const { t } = useTranslation();
  const isRunning = item.endedAt === null && item.waitsSince === null;
  const now = useNow(1000, isRunning);
  if (item.endedAt === null && item.waitsSince !== null) return <span className={styles.waiting}>{t("tool.waits")}</span>;
  const ms = isRunning ? Math.max(0, now - Date.parse(item.at) - item.waitedMs) : toolMs(item);
  return <span className={styles.time} data-running={isRunning}>{isRunning && ms < 1000 ? "" : duration(ms)}</span>;
}

function workspaceOf(item: ToolItem): string | undefined {
  const path = item.locations[0] ?? item.title;
  const at = path.indexOf("/workspace/");
  return at >= 0 ? path.slice(path.indexOf("/"), at + "/workspace".length) : undefined;
}
