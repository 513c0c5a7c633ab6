import type { Reply } from "../api/types";
import { outbox } from "../live";
import { optionFor, type Ask } from "./asked";

/** Put an answer into the outbox; the log tells when it counts. */
export function reply(ask: Ask, answer: Omit<Reply, "requestId">): void {
  const { decision } = answer;
  const option = decision === "answer" || decision === "cancel" ? undefined : optionFor(ask, decision);
  const body: Reply = { requestId: ask.requestId, ...(option && { optionId: option.optionId }), ...answer };
  outbox.add({ kind: "answer", key: crypto.randomUUID(), sessionId: ask.sessionId, body, createdAt: Date.now() });
}
