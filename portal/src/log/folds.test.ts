import { describe, expect, it } from "vitest";
import { EMPTY, reduce } from "./reduce";

describe("a prompt", () => {
  it("names the files that it came with, and none when it had none", () => {
    const queued = (seq: number, runId: string, data: Record<string, unknown>) => ({ seq, id: `e${seq}`, sessionId: "s", runId, author: "user:u", type: "run.queued", at: "2026-11-28T10:00:00Z", data });
    const state = reduce(EMPTY, [queued(1, "a", { prompt: "read it", attachments: ["uploads/1/a.md"] })]);
    expect(state.items.get("prompt:a")).toMatchObject({ text: "read it", attachments: ["uploads/1/a.md"] });
    const bare = reduce(EMPTY, [queued(1, "a", { prompt: "first" })]);
    expect(bare.items.get("prompt:a")).not.toHaveProperty("attachments");
  });
});
