import { describe, expect, it } from "vitest";
import type { Item } from "./events";
import { rowsOf } from "./rows";

const common = { firstSeq: 1, lastSeq: 1, runId: "r", at: "2026-11-28T10:00:00Z" };
const uploaded = (id: string, path: string): Item => ({ ...common, id, kind: "notice", type: "workspace.uploaded", data: { path } });
const shown = (items: Item[]): string[] => rowsOf({ items: new Map(items.map((item) => [item.id, item])), order: items.map((item) => item.id) }).map((row) => row.id);

describe("rows", () => {
  it("show an upload once: in the prompt that it came with, else by itself", () => {
    const prompt: Item = { ...common, id: "p", kind: "prompt", text: "read it", author: "user:u", attachments: ["uploads/1/a.md"] };
    expect(shown([uploaded("a", "uploads/1/a.md"), uploaded("b", "uploads/2/b.md"), prompt])).toEqual(["b", "p"]);
  });
});
