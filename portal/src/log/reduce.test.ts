import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SessionQueue } from "../api/types";
import type { Envelope, SessionState } from "./events";
import { EMPTY, reduce } from "./reduce";
import { rowsOf } from "./rows";
import { fromTranscript } from "./transcript";

const FOLDER = new URL("../../tests/logs/", import.meta.url);
const logs = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".jsonl"))
  .map((name) => ({ name, events: readLog(name) }));

function readLog(name: string): Envelope[] {
  const lines = readFileSync(new URL(name, FOLDER), "utf8").trim().split("\n");
  return lines.map((line) => JSON.parse(line) as Envelope);
}

function transcriptOf(state: SessionState) {
  return { items: state.order.flatMap((id) => state.items.get(id) ?? []), seq: state.seq };
}

/** What the API tells of the queue beside a transcript. */
function queueOf(state: SessionState): SessionQueue {
  const told = (id: string) => {
    const run = state.runs.get(id);
    if (!run) throw new Error(`no run ${id}`);
    return { ...run, sessionId: "s", createdAt: run.queuedAt, userId: run.author.replace("user:", ""), position: 0, revision: 1, attempts: 0, maxAttempts: 3, warnings: [] };
  };
  return { live: state.liveRunId ? told(state.liveRunId) : null, items: state.queue.map(told) };
}

const plain = (state: SessionState): unknown => ({
  ...state,
  items: [...state.items],
  runs: [...state.runs],
  todos: [...state.todos],
});

describe.each(logs)("the log $name", ({ events }) => {
  const whole = reduce(EMPTY, events);

  it("gives the same state however it is cut", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(events.length), { maxLength: 12 }), (cuts) => {
        const edges = [0, ...cuts.sort((a, b) => a - b), events.length];
        const state = edges.slice(1).reduce((before, end, at) => reduce(before, events.slice(edges[at], end)), EMPTY);
        expect(plain(state)).toEqual(plain(whole));
      }),
    );
  });

  it("gives the same state when events come again after a reconnect", () => {
    fc.assert(
      fc.property(fc.nat(events.length), fc.nat(events.length), (one, other) => {
        const [from, to] = [Math.min(one, other), Math.max(one, other)];
        const state = [events.slice(0, to), events.slice(from, to), events.slice(from)].reduce(reduce, EMPTY);
        expect(plain(state)).toEqual(plain(whole));
      }),
    );
  });

  it("goes on from a transcript of any prefix to the same items", () => {
    fc.assert(
      fc.property(fc.nat(events.length), (cut) => {
        const before = reduce(EMPTY, events.slice(0, cut));
        const continued = reduce(fromTranscript(transcriptOf(before), queueOf(before), [...before.todos.values()]), events.slice(cut));
        expect([...continued.items]).toEqual([...whole.items]);
        expect(continued.order).toEqual(whole.order);
        expect(continued.queue).toEqual(whole.queue);
        expect([...continued.todos]).toEqual([...whole.todos]);
      }),
    );
  });

  it("leaves a state as it was when the next one is made", () => {
    const middle = Math.floor(events.length / 2);
    const first = reduce(EMPTY, events.slice(0, middle));
    const before = JSON.stringify(plain(first));
    reduce(first, events.slice(middle));
    expect(JSON.stringify(plain(first))).toBe(before);
  });

  it("ends with nothing open", () => {
    const items = [...whole.items.values()];
    expect(whole.liveRunId).toBeNull();
    expect(whole.queue).toEqual([]);
    expect(items.filter((item) => item.kind === "tool" && item.endedAt === null)).toEqual([]);
    expect(items.filter((item) => (item.kind === "answer" || item.kind === "thought") && !item.isDone)).toEqual([]);
    expect(items.filter((item) => item.kind === "asked" && item.decision === null)).toEqual([]);
  });

  it("shows every prompt once, before what its run did", () => {
    const order = whole.order.map((id) => whole.items.get(id));
    for (const run of whole.runs.values()) {
      const places = order.flatMap((item, at) => (item?.runId === run.runId ? [{ item, at }] : []));
      expect(places.filter(({ item }) => item?.kind === "prompt")).toHaveLength(1);
      expect(places[0]?.item).toMatchObject({ kind: "prompt", text: run.prompt });
      expect(places.at(-1)?.item).toMatchObject({ kind: "run", status: run.status });
    }
  });
});

function event(seq: number, type: string, data: Record<string, unknown>, at = "2026-01-01T00:00:00Z"): Envelope {
  return { seq, id: `e${seq}`, sessionId: "s", runId: "r", attempt: 1, author: "executor", type, at, data };
}

describe("reduce", () => {
  it("makes a notice of a type that it does not know", () => {
    const state = reduce(EMPTY, [event(1, "future.thing", { text: "x" })]);
    expect(state.items.get("notice:1")).toMatchObject({ kind: "notice", type: "future.thing" });
  });

  it("leaves the wait for a person out of a tool's time", () => {
    const at = (second: number): string => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();
    const state = reduce(EMPTY, [
      event(1, "tool.call", { toolCallId: "c", title: "Edit", kind: "edit", status: "in_progress" }, at(0)),
      event(2, "human_loop.requested", { requestId: "q", kind: "permission", title: "Edit", toolCall: { toolCallId: "c" } }, at(1)),
      event(3, "human_loop.resolved", { requestId: "q", decision: "allow", by: "user:u" }, at(41)),
      event(4, "tool.update", { toolCallId: "c", status: "completed" }, at(43)),
    ]);
    expect(state.items.get("tool:r:c")).toMatchObject({ waitedMs: 40_000 });
  });

  it("keeps a queued prompt out of the conversation until its turn", () => {
    const queued = (seq: number, runId: string): Envelope => ({ ...event(seq, "run.queued", { prompt: runId, provider: "demo" }), runId });
    const first = reduce(EMPTY, [queued(1, "a"), queued(2, "b")]);
    expect(first.queue).toEqual(["b"]);
    expect(rowsOf(first).map((row) => row.id)).toEqual(["prompt:a"]);
    const moved = reduce(first, [{ ...event(3, "run.finished", { status: "succeeded" }), runId: "a" }, { ...event(4, "run.started", {}), runId: "b" }]);
    expect(moved.queue).toEqual([]);
    expect(rowsOf(moved).map((row) => row.id)).toEqual(["prompt:a", "run:a", "prompt:b"]);
  });

  it("keeps the identity of what did not change", () => {
    const before = reduce(EMPTY, [event(1, "message.delta", { messageId: "m", role: "assistant", text: "a" }), event(2, "todo.update", { groupId: "g", items: [] })]);
    const after = reduce(before, [event(3, "message.delta", { messageId: "n", role: "assistant", text: "b" })]);
    expect(after.items.get("assistant:r:m")).toBe(before.items.get("assistant:r:m"));
    expect(after.todos).toBe(before.todos);
  });
});

describe("rowsOf", () => {
  const tool = (seq: number, status: string): Envelope[] => [event(seq, "tool.call", { toolCallId: `c${seq}`, title: `t${seq}`, status })];

  it("folds three settled calls in a row and counts what failed", () => {
    const rows = rowsOf(reduce(EMPTY, [...tool(1, "completed"), ...tool(2, "failed"), ...tool(3, "completed")]));
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ kind: "group", failed: 1 });
  });

  it("leaves two calls, and a running one, as they are", () => {
    const rows = rowsOf(reduce(EMPTY, [...tool(1, "completed"), ...tool(2, "completed"), ...tool(3, "in_progress")]));
    expect(rows.map((row) => row.kind)).toEqual(["tool", "tool", "tool"]);
  });
});
