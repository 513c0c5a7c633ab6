import { describe, expect, it } from "vitest";
import type { Envelope } from "./events";
import { Feed } from "./feed";

const event = (seq: number): Envelope => ({ seq, id: `e${seq}`, sessionId: "s", runId: "r", author: "executor", type: "message.delta", at: "2026-01-01T00:00:00Z", data: { messageId: "m", role: "assistant", text: `${seq} ` } });
const log = [1, 2, 3, 4, 5, 6, 7, 8].map(event);

function make(size = 1000) {
  const frames: (() => void)[] = [];
  const reads: number[] = [];
  const feed = new Feed(
    (after) => {
      reads.push(after);
      const items = log.filter((one) => one.seq > after).slice(0, size);
      return Promise.resolve({ items, nextCursor: (items.at(-1)?.seq ?? 8) < 8 ? items.at(-1)?.seq : null });
    },
    (work) => frames.push(work),
  );
  const text = (): string => {
    const item = feed.state.items.get("assistant:r:m");
    return item?.kind === "answer" ? item.text : "";
  };
  return { feed, frames, reads, text };
}

describe("a feed", () => {
  it("reads every page before it tells anything", async () => {
    const { feed, text, reads } = make(3);
    let told = 0;
    feed.watch(() => told++);
    await feed.catchUp();
    expect(text()).toBe("1 2 3 4 5 6 7 8 ");
    expect(reads).toEqual([0, 3, 6]);
    expect(told).toBe(1);
  });

  it("tells at most once a frame", () => {
    const { feed, frames, text } = make();
    [1, 2, 3].map(event).forEach((one) => feed.take(one));
    expect(frames).toHaveLength(1);
    expect(text()).toBe("");
    frames[0]?.();
    expect(text()).toBe("1 2 3 ");
  });

  it("reads what is missing when an event comes behind a hole", async () => {
    const { feed, text } = make();
    feed.take(event(1));
    feed.take(event(5));
    await feed.catchUp().catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(text()).toBe("1 2 3 4 5 6 7 8 ");
  });

  it("passes over what it has", async () => {
    const { feed, text } = make();
    await feed.catchUp();
    log.forEach((one) => feed.take(one));
    expect(text()).toBe("1 2 3 4 5 6 7 8 ");
  });
});
