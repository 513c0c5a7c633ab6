import { useTranslation } from "react-i18next";
import type { NoticeItem } from "../log/events";
import { Icon, type IconName } from "../parts/Icon";
import { noticeOf } from "../words/server";
import { Original } from "./Reason";
import styles from "./Rows.module.css";

const KNOWN = ["run.parked", "run.retrying", "run.warning", "workspace.sync_failed", "workspace.uploaded", "workspace.put_back", "conversation.handed_over"] as const;
type Known = (typeof KNOWN)[number];

const SIGNS: Record<string, IconName> = { "run.retrying": "refresh", "run.parked": "clock", "workspace.uploaded": "attach", "workspace.put_back": "refresh" };

/** The folder that a file for a prompt gets of its own. */
const UPLOADED = /^uploads\/[0-9a-f]{8}\//;

/** Something of the log that is neither said nor done by the agent; unknown types too. */
export function Notice({ item }: { item: NoticeItem }) {
  const { t } = useTranslation();
  const isKnown = (KNOWN as readonly string[]).includes(item.type);
  const words = isKnown ? t(`notice.${item.type.replace(".", "_") as "run_parked"}`) : item.type;
  const { sentence, original } = noticeOf(item.data);
  return (
    <div className={styles.notice} data-type={item.type as Known}>
      <Icon name={SIGNS[item.type] ?? "warn"} />
      <div>
        <span title={typeof item.data.path === "string" ? item.data.path : undefined}>{[words, sentence.replace(UPLOADED, "")].filter(Boolean).join(" ")}</span>
        {original && <Original words={original} />}
      </div>
    </div>
  );
}
