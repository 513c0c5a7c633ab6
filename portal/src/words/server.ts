/** The server's sentences in the reader's language, by their codes. English ones are the server's own. */
import { Offline, Problem } from "../api/client";
import type { Run } from "../api/types";
import { words } from "./words";

export type Section = "problem" | "why" | "worker" | "reason";
type Values = Record<string, string | number>;

const NAMESPACE = "server";
type Look = Record<string, unknown>;
const { t, exists } = words as unknown as { t: (key: string, look: Look) => string; exists: (key: string, look: Look) => boolean };
const told = t.bind(words);
const isThere = exists.bind(words);

/** Null when the language has no sentence for the code: then the server's own is shown. */
export function translated(section: Section, code: string | null | undefined, values: Values = {}): string | null {
  const key = `${section}.${code}`;
  if (!code || !isThere(key, { ns: NAMESPACE })) return null;
  return told(key, { ns: NAMESPACE, ...values });
}

/** What went wrong, as a sentence. */
export function sentenceOf(error: unknown): string {
  if (error instanceof Problem) return translated("problem", error.code, { detail: error.detail }) ?? error.detail;
  return words.t(error instanceof Offline ? "problem.offline" : "problem.unexpected");
}

/** A refusal of which only the code is known: the language's sentence, else the code as words. */
export function refusalOf(code: string): string {
  const plain = code.replaceAll("_", " ");
  return translated("problem", code, { detail: "" })?.replace(/：$/, "。") ?? plain.charAt(0).toUpperCase() + plain.slice(1);
}

export function reasonOf(reason: { code: string; message: string }): string {
  return translated("reason", reason.code) ?? reason.message;
}

interface Explained {
  reason: string;
  code?: string | null;
  values?: Values;
}

/** Why something is as it is. A run that has ended is explained by its reason or its status. */
export function whyOf({ reason, code, values }: Explained): string {
  const isStatus = code && words.exists(`status.${code}`);
  return translated("why", code, values) ?? translated("worker", code, values) ?? translated("reason", code) ?? (isStatus && words.language !== "en" ? words.t(`status.${code as Run["status"]}`) : reason);
}
