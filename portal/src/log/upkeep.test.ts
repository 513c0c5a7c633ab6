import { expect, it } from "vitest";
import type { Envelope } from "./events";
import { Feed } from "./feed";
import { onFacts, Upkeep } from "./upkeep";

const event = (seq: number, type: string, data: Record<string, unknown> = {}): Envelope =>
  ({ seq, type, data, runId: "r", author: "agent", at: "2026-01-01T09:00:00Z", attempt: 1 }) as unknown as Envelope;

it("asks once for each change, however many parts of the page show the session", () => {
  const feed = new Feed(() => Promise.resolve({ items: [] }), (flush) => flush());
  let asked = 0;
  const upkeep = new Upkeep(() => onFacts(feed, (state) => [state.liveRunId, state.saved], () => void (asked += 1)));
  const [header, row] = [upkeep.join("s"), upkeep.join("s")];
  expect(asked).toBe(1);
  feed.take(event(1, "run.queued", { prompt: "go" }));
  feed.take(event(2, "run.started"));
  const started = asked;
  feed.take(event(3, "message.delta", { messageId: "m", role: "assistant", text: "One" }));
  expect(asked).toBe(started);
  feed.take(event(4, "workspace.synced", { snapshotId: "x" }));
  expect(asked).toBe(started + 1);
  header();
  feed.take(event(5, "workspace.synced", { snapshotId: "y" }));
  expect(asked).toBe(started + 2);
  row();
  feed.take(event(6, "workspace.synced", { snapshotId: "z" }));
  expect(asked).toBe(started + 2);
  upkeep.join("s");
  expect(asked).toBe(started + 3);
});

it("keeps sessions apart", () => {
  const begun: string[] = [];
  const upkeep = new Upkeep((id) => (begun.push(id), () => undefined));
  upkeep.join("a");
  upkeep.join("b");
  upkeep.join("a");
  expect(begun).toEqual(["a", "b"]);
});
