import { describe, expect, it } from "vitest";
import { Offline, Problem } from "../api/client";
import type { Started } from "../api/types";
import { Outbox, type Entry, type PromptEntry, type Shelf } from "./outbox";

function shelf(): Shelf {
  const kept = new Map<string, string>();
  return { getItem: (name) => kept.get(name) ?? null, setItem: (name, value) => void kept.set(name, value) };
}

const entry: PromptEntry = { kind: "prompt", key: "k", sessionId: "s", body: { prompt: "hello" }, createdAt: 0 };
const started: Started = { runId: "r", sessionId: "s", status: "queued", seq: 1, queuePosition: 0, warnings: [] };
const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

describe("the outbox", () => {
  it("keeps a prompt until the log has told of its run", async () => {
    const box = new Outbox(shelf(), () => Promise.resolve(started));
    box.add(entry);
    expect(box.entries).toEqual([entry]);
    await soon();
    expect(box.entries).toMatchObject([{ key: "k", runId: "r" }]);
    box.confirm("s", 1);
    expect(box.entries).toHaveLength(1);
    box.confirm("s", 2);
    expect(box.entries).toEqual([]);
  });

  it("sends again after a reload what was never answered, with the same key", async () => {
    const place = shelf();
    const keys: string[] = [];
    new Outbox(place, () => Promise.reject(new Offline())).add(entry);
    await soon();
    const reloaded = new Outbox(place, (one) => {
      keys.push(one.key);
      return Promise.resolve(started);
    });
    reloaded.sendAll();
    await soon();
    expect(keys).toEqual(["k"]);
    expect(reloaded.entries).toMatchObject([{ runId: "r" }]);
  });

  it("gives a refused prompt back with the problem", async () => {
    const refused: [Entry, Problem][] = [];
    const box = new Outbox(shelf(), () => Promise.reject(new Problem(409, { code: "capability_missing", detail: "No." })));
    box.onRefused = (one, problem) => refused.push([one, problem]);
    box.add(entry);
    await soon();
    expect(box.entries).toEqual([]);
    expect(refused[0]?.[1].detail).toBe("No.");
  });

  it("keeps an entry when the sign-in has ended", async () => {
    const box = new Outbox(shelf(), () => Promise.reject(new Problem(401, { code: "unauthenticated" })));
    box.add(entry);
    await soon();
    expect(box.entries).toEqual([entry]);
  });

  it("shares entries with another tab of the browser", async () => {
    const place = shelf();
    new Outbox(place, () => new Promise(() => undefined)).add(entry);
    const other = new Outbox(place, () => new Promise(() => undefined));
    other.add({ ...entry, key: "k2" });
    expect(other.entries.map((one) => one.key)).toEqual(["k", "k2"]);
  });
});
