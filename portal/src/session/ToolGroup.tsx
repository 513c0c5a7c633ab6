import { memo } from "react";
import { useTranslation } from "react-i18next";
import type { ToolGroup as Group } from "../log/rows";
import { Icon } from "../parts/Icon";
import { duration } from "../words/numbers";
import { useOpen } from "./opened";
import styles from "./Rows.module.css";
import { ToolCall } from "./ToolCall";

/** Settled calls in a row: how many, how many failed, how long. */
export const ToolGroup = memo(function ToolGroup({ group }: { group: Group }) {
  const { t } = useTranslation();
  const [isOpen, toggle] = useOpen(group.id);
  return (
    <div className={styles.step}>
      <button type="button" className={styles.line} aria-expanded={isOpen} onClick={toggle} data-keep>
        <span className={styles.sign} data-open={isOpen}><Icon name="right" /></span>
        <span className={styles.verb}>{t("tool.group", { count: group.tools.length })}</span>
        <span className={styles.soft}>{isOpen ? "" : group.tools.map((tool) => tool.title).join(" · ")}</span>
        {group.failed > 0 && <span className={styles.failed}>{t("tool.failedCount", { count: group.failed })}</span>}
        <span className={styles.time}>{duration(group.ms)}</span>
      </button>
      {isOpen && <div className={styles.members}>{group.tools.map((tool) => <ToolCall key={tool.id} item={tool} />)}</div>}
    </div>
  );
});
