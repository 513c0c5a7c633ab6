import { useTranslation } from "react-i18next";
import type { NoticeItem } from "../log/events";
import { Icon, type IconName } from "../parts/Icon";
import { translated } from "../words/server";
import styles from "./Rows.module.css";

const KNOWN = ["run.parked", "run.retrying", "run.warning", "workspace.sync_failed", "workspace.uploaded", "workspace.put_back", "conversation.handed_over"] as const;
type Known = (typeof KNOWN)[number];

const SIGNS: Record<string, IconName> = { "run.retrying": "refresh", "run.parked": "clock", "workspace.uploaded": "attach", "workspace.put_back": "refresh" };

/** Something of the log that is neither said nor done by the agent; unknown types too. */
export function Notice({ item }: { item: NoticeItem }) {
  const { t } = useTranslation();
  const isKnown = (KNOWN as readonly string[]).includes(item.type);
  const words = isKnown ? t(`notice.${item.type.replace(".", "_") as "run_parked"}`) : item.type;
  return (
    <div className={styles.notice} data-type={item.type as Known}>
      <Icon name={SIGNS[item.type] ?? "warn"} />
      <span>{[words, sentenceOf(item.data)].filter(Boolean).join(" ")}</span>
    </div>
  );
}

function sentenceOf(data: Record<string, unknown>): string {
  const reason = data.reason;
  const known = translated("reason", codeOf(data)) ?? translated("problem", codeOf(data));
  if (known) return known;
  if (typeof data.message === "string") return data.message;
  if (typeof data.path === "string") return data.path;
  if (typeof reason === "string") return reason;
  if (typeof reason === "object" && reason !== null && "message" in reason) return String(reason.message);
  return "";
}

function codeOf({ code, reason }: Record<string, unknown>): string {
  if (typeof code === "string") return code;
  return typeof reason === "object" && reason !== null && "code" in reason ? String(reason.code) : "";
}
