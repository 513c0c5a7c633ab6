/** Prompts on their way: into the outbox, and back into the composer when the server refuses them. */
import type { StartBody } from "../api/types";
import { outbox } from "../live";
import { useLocal } from "../local";
import type { PromptEntry } from "../log/outbox";
import { attachAgain } from "./uploads";

export const NEW = "new";

export function sendPrompt(sessionId: string | null, body: StartBody): PromptEntry {
  const entry: PromptEntry = { kind: "prompt", key: crypto.randomUUID(), sessionId, body, createdAt: Date.now() };
  outbox.add(entry);
  return entry;
}

/** A refused prompt goes before what was typed meanwhile, and its files are attached again. */
export function giveBack(entry: PromptEntry): void {
  const { drafts, draft } = useLocal.getState();
  const name = entry.sessionId ?? NEW;
  draft(name, [entry.body.prompt, drafts[name]].filter(Boolean).join("\n"));
  if (entry.sessionId) attachAgain(entry.sessionId, entry.body.attachments ?? []);
}
