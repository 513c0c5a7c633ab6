import { describe, expect, it } from "vitest";
import type { FileItem } from "../../api/types";
import { folderOf, foldersAbove, moveIn, nameOf, rowsOf, type Listing } from "./tree";

const item = (path: string, kind: FileItem["kind"]): FileItem => ({ name: nameOf(path), path, kind, mtime: "2026-11-28T10:00:00Z", mode: null, size: null, target: null, title: null });
const listings = new Map<string, Listing | "failed">([
  ["", { items: [item("src", "folder"), item("a.md", "file")], hasMore: true, hidden: 0 }],
  ["src", { items: [item("src/deep", "folder"), item("src/b.py", "file")], hasMore: false, hidden: 0 }],
  ["src/deep", { items: [], hasMore: false, hidden: 0 }],
]);
const ids = (open: string[]): string[] => rowsOf(listings, new Set(open)).map((row) => row.id);

describe("rowsOf", () => {
  it("puts what an open folder holds below it, one level deeper", () => {
    expect(rowsOf(listings, new Set(["src"])).map((row) => [row.id, row.level])).toEqual([["src", 1], ["src/deep", 2], ["src/b.py", 2], ["a.md", 1], ["more:", 1]]);
  });

  it("says of a folder that it is empty, being read, or not readable", () => {
    expect(ids(["src", "src/deep"])).toContain("empty:src/deep");
    expect(rowsOf(new Map(), new Set()).map((row) => row.kind)).toEqual(["loading"]);
    expect(rowsOf(new Map([["", "failed" as const]]), new Set()).map((row) => row.kind)).toEqual(["failed"]);
  });

  it("says how many items of a folder policies hide", () => {
    const told = (items: FileItem[]): string[] => rowsOf(new Map([["", { items, hasMore: false, hidden: 2 }]]), new Set()).map((row) => (row.kind === "hidden" ? `${row.count} hidden` : row.id));
    expect(told([item("a.md", "file")])).toEqual(["a.md", "2 hidden"]);
    expect(told([])).toEqual(["2 hidden"]);
  });

  it("tells each row its place among its folder's items", () => {
    const row = rowsOf(listings, new Set(["src"]))[2];
    expect(row).toMatchObject({ position: 2, size: 2 });
  });
});

describe("moveIn", () => {
  const closed = rowsOf(listings, new Set());
  const open = rowsOf(listings, new Set(["src"]));

  it("goes from row to row and stops at both ends", () => {
    expect(moveIn(open, "src", "ArrowDown")).toEqual({ focus: "src/deep" });
    expect(moveIn(open, "src", "ArrowUp")).toEqual({ focus: "src" });
    expect(moveIn(open, "src", "End")).toEqual({ focus: "more:" });
    expect(moveIn(open, "more:", "ArrowDown")).toEqual({ focus: "more:" });
    expect(moveIn(open, "a.md", "Home")).toEqual({ focus: "src" });
  });

  it("opens a folder, enters it, leaves it and closes it", () => {
    expect(moveIn(closed, "src", "ArrowRight")).toEqual({ open: "src" });
    expect(moveIn(open, "src", "ArrowRight")).toEqual({ focus: "src/deep" });
    expect(moveIn(open, "src/b.py", "ArrowLeft")).toEqual({ focus: "src" });
    expect(moveIn(open, "src", "ArrowLeft")).toEqual({ close: "src" });
    expect(moveIn(open, "a.md", "ArrowLeft")).toEqual({ focus: "a.md" });
  });

  it("leaves other keys to others, and begins at the top when the row is gone", () => {
    expect(moveIn(open, "src", "x")).toBeNull();
    expect(moveIn(open, "deleted", "ArrowDown")).toEqual({ focus: "src/deep" });
  });
});

describe("paths", () => {
  it("know their folders", () => {
    expect(foldersAbove("a/b/c.txt")).toEqual(["a", "a/b"]);
    expect(folderOf("c.txt")).toBe("");
    expect(nameOf("a/b/c.txt")).toBe("c.txt");
  });

  it("that are no text are taken whole", () => {
    expect(foldersAbove("base64:Zm8vYmH/")).toEqual([]);
    expect(nameOf("base64:Zm8vYmH/")).toBe("base64:Zm8vYmH/");
  });
});
