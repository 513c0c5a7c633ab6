import { describe, expect, it } from "vitest";
import { mentionAt, partsOf, withMention } from "./mention";

const at = (text: string) => mentionAt(text, text.length);

describe("a mention", () => {
  it("begins a word and ends with it", () => {
    expect(at("@")).toEqual({ from: 0, query: "" });
    expect(at("see @src/a")).toEqual({ from: 4, query: "src/a" });
    expect(at("请看，@报告")).toEqual({ from: 3, query: "报告" });
    expect(at("see @src/a ")).toBeNull();
    expect(at("mail li@example.org")).toBeNull();
    expect(mentionAt("see @src/a now", 10)).toEqual({ from: 4, query: "src/a" });
  });

  it("may have spaces when it is quoted", () => {
    expect(at('see @"my no')).toEqual({ from: 4, query: "my no" });
  });

  it("is written in the place of what was typed, and the cursor goes behind it", () => {
    const put = (text: string, cursor: number, path: string) => {
      const mention = mentionAt(text, cursor);
      if (!mention) throw new Error("no mention");
      const written = withMention(text, mention, cursor, path);
      return `${written.text.slice(0, written.cursor)}|${written.text.slice(written.cursor)}`;
    };
    expect(put("see @ap", 7, "src/app.py")).toBe("see @src/app.py |");
    expect(put("see @ap please", 7, "src/app.py")).toBe("see @src/app.py |please");
    expect(put("@", 1, "my notes.md")).toBe('@"my notes.md" |');
    expect(put("@s", 2, "src/")).toBe("@src/|");
    expect(put("@m", 2, "my files/")).toBe('@"my files/|');
    expect(put('@"my files/n', 12, "my files/notes.md")).toBe('@"my files/notes.md" |');
  });

  it("looks into the folder before the last slash", () => {
    expect(partsOf("no")).toEqual({ folder: "", name: "no" });
    expect(partsOf("src/deep/a")).toEqual({ folder: "src/deep", name: "a" });
    expect(partsOf("src/")).toEqual({ folder: "src", name: "" });
  });
});
