import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { countChanges, hunksOf, lineDiff, linesOfPatch } from "./lineDiff";

const text = fc.array(fc.constantFrom("a", "b", "c", ""), { maxLength: 20 }).map((lines) => lines.map((line) => `${line}\n`).join(""));

describe("lineDiff", () => {
  it("gives back both texts", () => {
    fc.assert(
      fc.property(text, text, (before, after) => {
        const lines = lineDiff(before, after);
        const side = (sign: string): string => lines.filter((line) => line.sign !== sign).map((line) => `${line.text}\n`).join("");
        expect(side("+")).toBe(before);
        expect(side("-")).toBe(after);
      }),
    );
  });

  it("counts a new file's lines as added", () => {
    expect(countChanges(lineDiff("", "one\ntwo\n"))).toEqual({ added: 2, removed: 0 });
  });
});

describe("hunksOf", () => {
  it("shows three lines around a change and how many it left out", () => {
    const before = Array.from({ length: 30 }, (_, at) => `line ${at}`).join("\n");
    const hunks = hunksOf(lineDiff(before, before.replace("line 15", "changed")));
    expect(hunks).toHaveLength(1);
    expect(hunks[0]).toMatchObject({ skipped: 12 });
    expect(hunks[0]?.lines).toHaveLength(8);
  });
});

describe("linesOfPatch", () => {
  it("reads a unified patch", () => {
    const hunks = linesOfPatch("--- a/x\n+++ b/x\n@@ -3,2 +3,2 @@\n same\n-old\n+new\n");
    expect(hunks).toEqual([{ skipped: 2, lines: [{ sign: " ", text: "same" }, { sign: "-", text: "old" }, { sign: "+", text: "new" }] }]);
  });

  it("counts the lines between two hunks, and before a hunk that only adds", () => {
    const patch = "@@ -1,1 +1,1 @@\n-a\n+b\n@@ -10,1 +10,1 @@\n-c\n+d\n@@ -20,0 +21,1 @@\n+e\n";
    expect(linesOfPatch(patch).map((hunk) => hunk.skipped)).toEqual([0, 8, 10]);
  });
});
