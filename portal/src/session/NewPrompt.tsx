import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { useSessions } from "../api/queries";
import type { StartBody } from "../api/types";
import { outbox, useOutbox } from "../live";
import { useLocal } from "../local";
import type { PromptEntry } from "../log/outbox";
import { IconButton } from "../parts/Button";
import { useShell } from "../shell/place";
import { useTitle } from "../shell/Page";
import { AgentPicker, usePick } from "./AgentPicker";
import { Composer, type ComposerHandle } from "./Composer";
import styles from "./NewPrompt.module.css";
import { Prompt } from "./Prompt";
import { useHeldFiles } from "./held";
import { NEW, sendPrompt } from "./sending";
import { Uploads } from "./Uploads";

const EXAMPLES = ["notes", "question", "command"] as const;

/** The start: one field to write in; on the first visit, three steps that need no account. */
export function NewPrompt() {
  const { t } = useTranslation();
  const go = useNavigate();
  const { openSidebar } = useShell();
  const pick = usePick();
  const { uploads, place } = useHeldFiles();
  const sessions = useSessions({ sort: "activity" });
  const [key, setKey] = useState<string | null>(null);
  const composer = useRef<ComposerHandle>(null);
  const entries = useOutbox();
  const sending = entries.filter((entry): entry is PromptEntry => entry.kind === "prompt" && entry.sessionId === null);
  useTitle("");
  useEffect(() => {
    const sent = outbox.entries.find((entry) => entry.key === key);
    if (sent?.kind === "prompt" && sent.sessionId) void go(`/s/${sent.sessionId}`);
  }, [entries, key, go]);
  const prompt = (text: string): void => {
    const body: StartBody = { prompt: text, options: pick.options, ...(pick.provider && { provider: pick.provider }) };
    if (uploads.items.length === 0) setKey(sendPrompt(null, body).key);
    else void promptWithFiles(body);
  };
  const promptWithFiles = async (body: StartBody): Promise<void> => {
    const placed = await place(body.prompt);
    if (!placed) return useLocal.getState().draft(NEW, body.prompt);
    sendPrompt(placed.sessionId, { ...body, attachments: placed.attachments });
    void go(`/s/${placed.sessionId}`);
  };
  const choose = (example: (typeof EXAMPLES)[number]): void => {
    useLocal.getState().draft(NEW, t(`start.${example}Prompt`));
    // Enter sends it; on a phone its keyboard would cover the page
    if (matchMedia("(hover: hover)").matches) composer.current?.focus();
  };
  const isFirst = sessions.data?.pages[0]?.items.length === 0;
  return (
    <div className={styles.start}>
      <IconButton className={styles.menu} icon="menu" label={t("shell.openSessions")} onClick={openSidebar} />
      <div className={styles.middle}>
        <h1 className={styles.title}>{t("start.title")}</h1>
        <p className={styles.note}>{t("start.note")}</p>
        {sending.map((entry) => <Prompt key={entry.key} item={{ text: entry.body.prompt }} isSending />)}
        <Uploads uploads={uploads} />
        <Composer ref={composer} draftOf={NEW} isRunning={false} placeholder={t("composer.placeholder")} onSend={prompt} isUploading={uploads.isBusy} {...(uploads.canUpload && { onFiles: uploads.add })}>
          <AgentPicker pick={pick} />
        </Composer>
        <ul className={styles.examples} aria-label={t("start.examples")}>
          {EXAMPLES.map((name) => (
            <li key={name}>
              <button type="button" className={styles.example} onClick={() => choose(name)}>
                <span className={styles.exampleTitle}>{t(`start.${name}`)}</span>
                <span className={styles.exampleText}>{t(`start.${name}Note`)}</span>
              </button>
            </li>
          ))}
        </ul>
        {isFirst && (
          <ol className={styles.steps}>
            <li>{t("start.step1")}</li>
            <li>{t("start.step2")}</li>
            <li>{t("start.step3")}</li>
          </ol>
        )}
      </div>
    </div>
  );
}
