import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cellsOf, separatorOf } from "./csv";

describe("cellsOf", () => {
  it("reads quoted cells with separators, line ends and quotes in them", () => {
    expect(cellsOf('a,b\r\n"x, y","1\n2"\n"say ""hi""",\n', 9).rows).toEqual([["a", "b"], ["x, y", "1\n2"], ['say "hi"', ""]]);
  });

  it("stops after so many rows and says that there are more", () => {
    expect(cellsOf("a\nb\nc\n", 2)).toEqual({ rows: [["a"], ["b"]], hasMore: true });
    expect(cellsOf("a\nb\n", 2)).toEqual({ rows: [["a"], ["b"]], hasMore: false });
    expect(cellsOf("", 2)).toEqual({ rows: [], hasMore: false });
  });

  it("finds the separator in the first line", () => {
    expect(separatorOf("a;b;c,d\n1,2,3,4,5")).toBe(";");
    expect(separatorOf("a\tb\n")).toBe("\t");
    expect(separatorOf("alone")).toBe(",");
  });

  it("gives back any cells that were written by RFC 4180", () => {
    const cell = fc.string({ unit: fc.constantFrom("a", ",", '"', "\n", "\r", " ", "é") });
    fc.assert(
      fc.property(fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { minLength: 1, maxLength: 5 }), (rows) => {
        const head = ["h1", "h2"];
        const text = [head, ...rows].map((row) => row.map((value) => `"${value.replaceAll('"', '""')}"`).join(",")).join("\r\n");
        expect(cellsOf(text, 99).rows).toEqual([head, ...rows]);
      }),
    );
  });
});
