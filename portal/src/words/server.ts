/** The server's sentences in the reader's language, by their codes. English ones are the server's own. */
import { Offline, Problem } from "../api/client";
import type { Provider, Run } from "../api/types";
import { words } from "./words";

export type Section = "problem" | "why" | "worker" | "reason" | "provider";
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

/** Why an agent is not ready, or empty for one that is. */
export function lackOf({ reason, reasonCode, reasonValues }: Pick<Provider, "reason" | "reasonCode" | "reasonValues">): string {
  return translated("provider", reasonCode, reasonValues ?? {}) ?? reason ?? "";
}

/** What an event of the log says besides its type, in the reader's language; `original`: the server's own words for it. */
export function noticeOf(data: Record<string, unknown>): { sentence: string; original: string } {
  const own = ownWords(data);
  const code = codeOf(data);
  const known = translated("reason", code) ?? translated("problem", code, { detail: own });
  return known === null || known === own ? { sentence: own, original: "" } : { sentence: known, original: own };
}

function ownWords({ message, path, reason }: Record<string, unknown>): string {
  for (const words of [message, path, reason]) if (typeof words === "string") return words;
  return isTold(reason) ? String(reason.message) : "";
}

function codeOf({ code, reason }: Record<string, unknown>): string {
  if (typeof code === "string") return code;
  return isTold(reason) ? String(reason.code) : "";
}

const isTold = (reason: unknown): reason is { code: unknown; message: unknown } => typeof reason === "object" && reason !== null && "message" in reason;

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
