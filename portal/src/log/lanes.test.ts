import { describe, expect, it } from "vitest";
import type { Envelope } from "./events";
import { axisOf, lanesOf, placeOn, ticksOf } from "./lanes";

const START = Date.UTC(2026, 0, 1);

function event(seq: number, second: number, type: string, data: Record<string, unknown> = {}): Envelope {
  const at = new Date(START + second * 1000).toISOString();
  return { seq, id: `e${seq}`, sessionId: "s", runId: "r", attempt: 1, author: "executor", type, at, data };
}

const run = [
  event(1, 0, "run.queued"),
  event(2, 2, "run.started"),
  event(3, 3, "message.delta", { messageId: "m", role: "assistant", text: "a" }),
  event(4, 5, "message.stop", { messageId: "m" }),
  event(5, 5, "tool.call", { toolCallId: "c", title: "Edit" }),
  event(6, 6, "human_loop.requested", { requestId: "q", title: "Edit" }),
  event(7, 7206, "human_loop.resolved", { requestId: "q", decision: "allow" }),
  event(8, 7208, "tool.update", { toolCallId: "c", status: "completed" }),
  event(9, 7209, "run.finished", { status: "succeeded" }),
];

describe("lanesOf", () => {
  it("has a span for each thing that took time", () => {
    const { spans } = lanesOf(run, 0);
    const seconds = spans.map((span) => [span.lane, (span.from - START) / 1000, (span.to - START) / 1000]);
    expect(seconds).toEqual([["queue", 0, 2], ["model", 3, 5], ["tools", 5, 7208], ["you", 6, 7206]]);
    expect(spans.every((span) => !span.isOpen)).toBe(true);
  });

  it("lets what is open reach to now", () => {
    const { spans } = lanesOf(run.slice(0, 3), START + 60_000);
    expect(spans.at(-1)).toMatchObject({ lane: "model", isOpen: true, to: START + 60_000 });
  });

  it("marks warnings and attempts", () => {
    const { marks, attempts } = lanesOf([...run.slice(0, 2), event(3, 3, "run.warning", { message: "Careful" })], 0);
    expect(marks).toMatchObject([{ type: "run.warning", data: { message: "Careful" } }]);
    expect(attempts).toMatchObject([{ number: 1 }]);
  });
});

describe("axisOf", () => {
  const parked = [...run.slice(0, 4), event(5, 6, "human_loop.requested", { requestId: "q" }), event(6, 7206, "human_loop.resolved", { requestId: "q" }), event(7, 7207, "tool.call", { toolCallId: "c" }), event(8, 7209, "run.finished")];

  it("folds a wait of two hours and keeps seconds as they are", () => {
    const axis = axisOf(lanesOf(parked, 0));
    const folded = axis.filter((part) => part.isFolded);
    expect(folded).toHaveLength(1);
    expect(folded[0]?.width).toBeLessThan(1000);
    expect(axis[0]).toMatchObject({ isFolded: false });
  });

  it("folds the wait of a call for its answer, though the call is open", () => {
    const asked = run.map((one) => (one.type === "human_loop.requested" ? { ...one, data: { ...one.data, toolCall: { toolCallId: "c" } } } : one));
    expect(axisOf(lanesOf(asked, 0)).filter((part) => part.isFolded)).toMatchObject([{ from: START + 6_000, to: START + 7_206_000 }]);
    const beside = asked.map((one) => (one.type === "human_loop.requested" ? { ...one, data: { ...one.data, toolCall: { toolCallId: "other" } } } : one));
    expect(axisOf(lanesOf(beside, 0)).filter((part) => part.isFolded)).toEqual([]);
  });

  it("keeps the order of times", () => {
    const axis = axisOf(lanesOf(parked, 0));
    const places = [0, 1, 3, 5, 6, 100, 7206, 7207, 7209].map((second) => placeOn(axis, START + second * 1000));
    expect(places).toEqual([...places].sort((a, b) => a - b));
  });
});

describe("ticksOf", () => {
  const second = (at: number): number => (at - START) / 1000;

  it("are round times since the beginning, and none in a folded wait", () => {
    const axis = [
      { from: START, to: START + 6_000, start: 0, width: 6_000, isFolded: false },
      { from: START + 6_000, to: START + 7_206_000, start: 6_000, width: 400, isFolded: true },
      { from: START + 7_206_000, to: START + 7_210_000, start: 6_400, width: 4_000, isFolded: false },
    ];
    expect(ticksOf(axis, { share: 1, most: 5 }).map(second)).toEqual([0, 2, 4, 6, 7206, 7208, 7210]);
    expect(ticksOf(axis, { share: 1, most: 2 }).map(second)).toEqual([0, 5, 7210]);
  });

  it("come closer as one zooms in", () => {
    const axis = axisOf(lanesOf(run.slice(0, 5), START + 10_000));
    expect(ticksOf(axis, { share: 0.1, most: 5 }).length).toBeGreaterThan(ticksOf(axis, { share: 1, most: 5 }).length);
  });
});
