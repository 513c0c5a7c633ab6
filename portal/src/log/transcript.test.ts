import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Envelope } from "./events";
import { EMPTY, reduce } from "./reduce";

type Stored = Record<string, unknown> & { whole?: Record<string, number> };

const FOLDER = new URL("../../tests/logs/", import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, FOLDER), "utf8");
const logs = readdirSync(FOLDER).filter((name) => name.endsWith(".jsonl"));

/** An item without the fields that the server has cut, which its events have whole. */
function without(item: object | undefined, cut: string[]): object {
  return Object.fromEntries(Object.entries(item ?? {}).filter(([key]) => !cut.includes(key)));
}

describe("the reducer", () => {
  it.each(logs)("folds %s to the items that the server stores", (name) => {
    const events = read(name)
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Envelope);
    const state = reduce(EMPTY, events);
    const stored = JSON.parse(read(name.replace(".jsonl", ".items.json"))) as Stored[];
    const cuts = stored.map((item) => ["isCut", "whole", ...Object.keys(item.whole ?? {})]);
    const folded = state.order.map((id, at) => without(state.items.get(id), cuts[at] ?? []));
    expect(folded).toEqual(stored.map((item, at) => without(item, cuts[at] ?? [])));
  });
});
