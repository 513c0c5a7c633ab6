import { useTranslation } from "react-i18next";
import type { ToolItem } from "../log/events";
import { Diff } from "./Diff";
import { CodeBlock } from "./markdown/CodeBlock";
import { shortPath } from "./paths";
import styles from "./Rows.module.css";

/** What went in and what came out of one call. */
export function ToolDetail({ item }: { item: ToolItem }) {
  const { t } = useTranslation();
  const command = commandOf(item.input);
  const hasDiffs = item.diffs.length > 0;
  return (
    <div className={styles.inside}>
      {item.diffs.map((diff, at) => <Diff key={at} diff={diff} />)}
      {!hasDiffs && item.input !== undefined && (
        <Part title={t("tool.input")} text={command ?? textOf(item.input)} language={command ? "bash" : "json"} />
      )}
      {item.output !== undefined && item.output !== null && textOf(item.output) !== "" && (
        <Part title={t("tool.output")} text={textOf(item.output)} language={typeof item.output === "string" ? "" : "json"} />
      )}
      {item.isCut && <p className={styles.soft}>{t("tool.cut")}</p>}
      {!hasDiffs && item.locations.length > 0 && <p className={styles.soft}>{item.locations.map(shortPath).join(", ")}</p>}
    </div>
  );
}

function Part({ title, text, language }: { title: string; text: string; language: string }) {
  return (
    <div>
      <div className={styles.partTitle}>{title}</div>
      <CodeBlock text={text} language={language} isBare />
    </div>
  );
}

export function commandOf(input: unknown): string | null {
  if (typeof input !== "object" || input === null || !("command" in input)) return null;
  const { command } = input;
  if (typeof command === "string") return command;
  return Array.isArray(command) ? command.join(" ") : null;
}

export function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}
