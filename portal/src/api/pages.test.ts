import { afterEach, describe, expect, it, vi } from "vitest";
import { countOf, readPending, readQueue } from "./pages";

/** A server whose lists have so many rows, `size` to a page. */
function serve(rows: number, size: number): string[] {
  const asked: string[] = [];
  vi.stubGlobal("fetch", (path: string) => {
    asked.push(path);
    const from = Number(new URL(path, "http://here").searchParams.get("cursor") ?? 0);
    const upTo = Math.min(rows, from + size);
    const items = Array.from({ length: upTo - from }, (_, at) => ({ requestId: `r${from + at}`, runId: `r${from + at}` }));
    return Promise.resolve(Response.json({ items, live: { runId: "live" }, ...(upTo < rows && { nextCursor: upTo }) }));
  });
  return asked;
}

const signal = new AbortController().signal;

describe("lists in pages", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("reads the inbox beyond its first page, however short that is, and doubles nothing", async () => {
    const asked = serve(3, 2);
    const pending = await readPending(signal);
    expect(pending.items.map((one) => one.requestId)).toEqual(["r0", "r1", "r2"]);
    expect(asked).toEqual(["/api/human-loop/pending", "/api/human-loop/pending?cursor=2"]);
    expect(countOf(pending)).toBe("3");
  });

  it("asks once where one page has everything", async () => {
    const asked = serve(2, 2);
    expect((await readPending(signal)).items).toHaveLength(2);
    expect(asked).toHaveLength(1);
  });

  it("says of an endless inbox that there is more", async () => {
    const asked = serve(1000, 2);
    const pending = await readPending(signal);
    expect(asked).toHaveLength(10);
    expect(countOf(pending)).toBe("20+");
  });

  it("counts nothing where nothing waits, and before anything was read", async () => {
    serve(0, 2);
    expect([countOf(await readPending(signal)), countOf(undefined)]).toEqual(["", ""]);
  });

  it("reads the whole queue with its live run", async () => {
    serve(5, 2);
    const queue = await readQueue("s");
    expect(queue.items.map((one) => one.runId)).toEqual(["r0", "r1", "r2", "r3", "r4"]);
    expect(queue.live?.runId).toBe("live");
  });
});
