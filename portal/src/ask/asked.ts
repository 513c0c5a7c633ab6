/** One question for a person, whether the log or the inbox told of it. */
import type { AskedRequest } from "../api/types";
import type { AskedItem, AskedToolCall, AskOption, FileDiff, FormSchema } from "../log/events";

export interface Ask {
  requestId: string;
  sessionId: string;
  asks: "permission" | "question";
  title: string;
  toolCall: AskedToolCall | null;
  options: AskOption[];
  schema: FormSchema | null;
  diffs: FileDiff[];
  askedAt: string;
  expiresAt: string | null;
  onExpiry: string;
  mayDecide: boolean;
  isParked: boolean;
}

export function askOfItem(item: AskedItem, sessionId: string, isParked: boolean): Ask {
  return {
    requestId: item.requestId,
    sessionId,
    asks: item.asks,
    title: item.title,
    toolCall: item.toolCall,
    options: item.options,
    schema: item.schema,
    diffs: diffsOf(item.toolCall, null),
    askedAt: item.at,
    expiresAt: item.expiresAt,
    onExpiry: item.onExpiry,
    mayDecide: true,
    isParked,
  };
}

export function askOfRequest(request: AskedRequest): Ask {
  return {
    requestId: request.requestId,
    sessionId: request.sessionId,
    asks: request.kind,
    title: request.title,
    toolCall: request.toolCall ?? null,
    options: request.options ?? [],
    schema: request.schema ?? null,
    diffs: diffsOf(request.toolCall ?? null, request.diffs ?? null),
    askedAt: request.requestedAt,
    expiresAt: request.expiresAt ?? null,
    onExpiry: request.onExpiry,
    mayDecide: request.mayDecide ?? true,
    isParked: request.runStatus === "parked",
  };
}

/** The change that is asked for: as told, or read from the arguments of a call that writes a file. */
function diffsOf(call: AskedToolCall | null, told: FileDiff[] | null): FileDiff[] {
  const known = told ?? call?.diffs ?? [];
  if (known.length > 0) return known;
  const input = call?.input;
  if (typeof input !== "object" || input === null || call?.kind !== "edit") return [];
  const { path, file_path: filePath, content, old_string: old, new_string: fresh } = input as Record<string, unknown>;
  const where = typeof path === "string" ? path : filePath;
  if (typeof where !== "string") return [];
  if (typeof content === "string") return [{ path: where, oldText: null, newText: content }];
  return typeof fresh === "string" ? [{ path: where, oldText: typeof old === "string" ? old : "", newText: fresh }] : [];
}

/** The option of the agent that fits a decision. */
export function optionFor(ask: Ask, decision: "allow" | "allow_always" | "deny"): AskOption | undefined {
  const kind = { allow: "allow_once", allow_always: "allow_always", deny: "reject_once" }[decision];
  return ask.options.find((option) => option.kind === kind);
}
