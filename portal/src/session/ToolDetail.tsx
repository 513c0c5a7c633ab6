import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useParams } from "react-router";
import { call } from "../api/client";
import type { Envelope, ToolItem } from "../log/events";
import { Button } from "../parts/Button";
import { toast } from "../parts/toast";
import { sentenceOf } from "../words/server";
import { Diff } from "./Diff";
import { CodeBlock } from "./markdown/CodeBlock";
import { shortPath } from "./paths";
import styles from "./Rows.module.css";

/** What went in and what came out of one call. */
export function ToolDetail({ item: shown }: { item: ToolItem }) {
  const { t } = useTranslation();
  const { session } = useParams();
  const [whole, setWhole] = useState<Partial<ToolItem> | null>(null);
  const item = { ...shown, ...whole };
  const readWhole = (): void => {
    void readFields(session ?? "", shown.whole ?? {}).then(setWhole, (error: unknown) => toast(t("tool.notRead"), sentenceOf(error)));
  };
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
      {item.isCut && !whole && session && (
        <div className={styles.endTools}><span className={styles.soft}>{t("tool.cut")}</span> <Button onClick={readWhole}>{t("tool.whole")}</Button></div>
      )}
      {!hasDiffs && item.locations.length > 0 && <p className={styles.soft}>{item.locations.map(shortPath).join(", ")}</p>}
    </div>
  );
}

/** The fields that the transcript cut, from the events that have all of them. */
async function readFields(sessionId: string, whole: Record<string, number>): Promise<Partial<ToolItem>> {
  const fields = await Promise.all(
    Object.entries(whole).map(async ([field, seq]) => [field, (await call<Envelope>(`/api/sessions/${sessionId}/events/${seq}`)).data[field]] as const),
  );
  return Object.fromEntries(fields);
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
