import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { SessionQueue } from "../api/types";
import type { Envelope, Item } from "./events";
import { EMPTY, reduce } from "./reduce";
import { fromTranscript } from "./transcript";

type Stored = Item & { whole?: Record<string, number> };

/** What the server knows of a log up to `seq`. */
interface Cut {
  seq: number;
  items: Stored[];
  runs: Record<string, { prompt: string; author: string; startedAt: string | null }>;
  queue: string[];
  liveRunId: string | null;
}

const FOLDER = new URL("../../tests/logs/", import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, FOLDER), "utf8");
const logs = readdirSync(FOLDER).filter((name) => name.endsWith(".jsonl"));

/** An item without the fields that the server has cut, which its events have whole. */
function without(item: object | undefined, cut: string[]): object {
  return Object.fromEntries(Object.entries(item ?? {}).filter(([key]) => !cut.includes(key)));
}

/** What the API tells of the queue beside a transcript. */
function queueOf(cut: Cut): SessionQueue {
  const told = (runId: string) => {
    const { prompt, author, startedAt } = cut.runs[runId] ?? { prompt: "", author: "", startedAt: null };
    return { runId, sessionId: "s", provider: "demo", status: "running" as const, prompt, startedAt: startedAt ?? undefined, createdAt: "2026-01-01T09:00:00Z", userId: author.replace("user:", ""), attempt: 1, position: 0, revision: 1, attempts: 0, maxAttempts: 3, warnings: [] };
  };
  return { live: cut.liveRunId ? told(cut.liveRunId) : null, items: cut.queue.map(told) };
}

describe.each(logs)("the reducer of %s", (name) => {
  const events = read(name)
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Envelope);
  const stored = JSON.parse(read(name.replace(".jsonl", ".items.json"))) as Stored[];
  const cuts = JSON.parse(read(name.replace(".jsonl", ".cuts.json"))) as Cut[];
  const cutFields = stored.map((item) => ["isCut", "whole", ...Object.keys(item.whole ?? {})]);
  const expected = stored.map((item, at) => without(item, cutFields[at] ?? []));
  const shown = (items: ReadonlyMap<string, Item>, order: readonly string[]) => order.map((id, at) => without(items.get(id), cutFields[at] ?? []));

  it("folds the log to the items that the server stores", () => {
    const state = reduce(EMPTY, events);
    expect(shown(state.items, state.order)).toEqual(expected);
  });

  it.each(cuts.map((cut) => [cut.seq, cut] as const))("goes on from what the server stores at event %i", (seq, cut) => {
    const state = reduce(fromTranscript(cut, queueOf(cut), []), events.slice(seq));
    expect(shown(state.items, state.order)).toEqual(expected);
    expect([state.queue, state.liveRunId]).toEqual([[], null]);
  });
});

interface Generated extends Cut {
  events: Envelope[];
}

const generated = JSON.parse(readFileSync(new URL("../../tests/generated_logs.json", import.meta.url), "utf8")) as Generated[];

it.each(generated.map((log, at) => [at, log] as const))("the reducer folds generated log %i as the server does", (_, log) => {
  const state = reduce(EMPTY, log.events);
  const items = state.order.map((id) => without(state.items.get(id), []));
  expect(JSON.parse(JSON.stringify(items))).toEqual(log.items);
  expect([new Set(state.queue), state.liveRunId]).toEqual([new Set(log.queue), log.liveRunId]);
});
