import { describe, expect, it } from "vitest";
import type { Run, Snapshot } from "../../api/types";
import { languageOf } from "./language";
import { comparisonOf, firstComparison, numbered, queryOf, searchOf, whichOf } from "./which";

const run = (runId: string): Run => ({ runId }) as Run;
const save = (snapshotId: string, runId: string | null = null): Snapshot => ({ snapshotId, runId }) as Snapshot;

describe("the state in an address", () => {
  it.each(["", "?run=r1", "?snapshot=s1"])("comes back as it was: %s", (search) => {
    expect(searchOf(whichOf(new URLSearchParams(search)), null)).toBe(search);
  });

  it("asks the API for what it says", () => {
    expect(queryOf(whichOf(new URLSearchParams("?run=r1")))).toEqual({ runId: "r1" });
    expect(queryOf(whichOf(new URLSearchParams("?snapshot=s1")))).toEqual({ snapshot: "s1" });
    expect(queryOf(whichOf(new URLSearchParams("")))).toEqual({});
  });

  it("holds both sides of a comparison, or none", () => {
    const comparison = comparisonOf(new URLSearchParams("?diff=r1..r2"));
    expect(comparison).toEqual({ from: "r1", to: "r2" });
    expect(searchOf({ kind: "newest" }, comparison)).toBe("?diff=r1..r2");
    expect(comparisonOf(new URLSearchParams("?diff=r1"))).toBeNull();
  });
});

describe("runs and saves", () => {
  it("are numbered from the oldest", () => {
    expect(numbered([run("c"), run("b"), run("a")]).map((one) => one.number)).toEqual([3, 2, 1]);
  });

  it("are first compared by the two newest saved states, once each", () => {
    const runs = numbered([run("b"), run("a")]);
    expect(firstComparison([save("s3", "b"), save("s2", "b"), save("s1", "a")], runs)).toEqual({ from: "a", to: "b" });
    expect(firstComparison([save("s2"), save("s1", "a")], runs)).toEqual({ from: "a", to: "s2" });
    expect(firstComparison([save("s2", "b"), save("s1", "b")], runs)).toBeNull();
  });
});

describe("languageOf", () => {
  it.each([["a.py", "python"], ["Dockerfile", "docker"], ["x.test.TSX", "tsx"], ["notes", ""], ["data.bin", ""]])("%s is %s", (name, language) => {
    expect(languageOf(name)).toBe(language);
  });
});
