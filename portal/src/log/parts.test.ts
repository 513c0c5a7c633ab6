import { describe, expect, it } from "vitest";
import type { Envelope, SessionState } from "./events";
import { EMPTY, reduce } from "./reduce";
import { liveRun, rowsOf } from "./rows";

const RUN = "11111111-1111-4111-8111-111111111111";
const event = (seq: number, type: string, data: Record<string, unknown> = {}): Envelope =>
  ({ seq, type, data, runId: RUN, author: "agent", at: "2026-01-01T09:00:00Z", attempt: 1 }) as unknown as Envelope;
const said = (seq: number, text: string): Envelope => event(seq, "message.delta", { messageId: "m", role: "assistant", text });
const BEFORE = reduce(EMPTY, [
  event(1, "run.queued", { prompt: "go", provider: "demo" }),
  event(2, "run.started"),
  event(3, "tool.call", { toolCallId: "c", title: "Edit a.md", kind: "edit", status: "completed" }),
  said(4, "One "),
]);

/** What the page around the row that streams is drawn from. */
const parts = (state: SessionState) => [state.order, state.rowsSeq, state.runs, state.queue, state.todos, state.saved, state.worker, state.changedSeq, state.liveRunId, liveRun(state)];

describe("a word that streams in", () => {
  it("changes no part that the page is drawn from, but the text of its own row", () => {
    const after = reduce(BEFORE, [said(5, "two "), said(6, "three")]);
    parts(after).forEach((part, at) => expect(part).toBe(parts(BEFORE)[at]));
    const changed = [...after.items].filter(([id, item]) => BEFORE.items.get(id) !== item);
    expect(changed.map(([, item]) => "text" in item && item.text)).toEqual(["One two three"]);
  });

  it("makes the rows anew when its text begins to be seen and when it ends", () => {
    const blank = reduce(EMPTY, [said(1, "\n")]);
    const seen = reduce(blank, [said(2, "Hello")]);
    expect(rowsOf(blank)).toEqual([]);
    expect(rowsOf(seen)).toHaveLength(1);
    expect(seen.rowsSeq).toBe(2);
    expect(reduce(seen, [event(3, "message.stop", { messageId: "m" })]).rowsSeq).toBe(3);
  });
});
