import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import en from "./en.json";
import zh from "./zh.json";

type Tree = { [key: string]: string | Tree };

function flat(tree: Tree, before = ""): Map<string, string> {
  const found = new Map<string, string>();
  for (const [key, value] of Object.entries(tree)) {
    if (typeof value === "string") found.set(before + key, value);
    else for (const [inner, text] of flat(value, `${before}${key}.`)) found.set(inner, text);
  }
  return found;
}

const english = flat(en);
const chinese = flat(zh);
const placeholders = (text: string): string[] => (text.match(/\{\{\w+\}\}/g) ?? []).sort();
const SOURCE = new URL("../", import.meta.url);

function sources(): string {
  const files = readdirSync(SOURCE, { recursive: true }).map(String).filter((name) => /\.tsx?$/.test(name) && !name.includes(".test."));
  return files.map((name) => readFileSync(new URL(name, SOURCE), "utf8")).join("\n");
}

/** Keys that the code makes from values, by their beginnings. */
const MADE = ["status.", "keys.", "tool.", "now.", "notice.", "decision.", "inbox.decided.", "ask.expiry.", "form.", "sessions.", "lane.", "panel.", "todos.", "ops.", "usage.", "settings.", "start.", "worker.", "effect.", "capability.", "change.", "audit.did.", "next.", "due."];

describe("words", () => {
  it("are the same keys in both languages", () => {
    expect([...chinese.keys()]).toEqual([...english.keys()]);
  });

  it("have the same placeholders in both languages", () => {
    for (const [key, text] of english) expect([key, placeholders(chinese.get(key) ?? "")]).toEqual([key, placeholders(text)]);
  });

  it("are all used", () => {
    const code = sources();
    const unused = [...english.keys()].filter((key) => {
      const name = key.replace(/_(one|other)$/, "");
      return !code.includes(`"${name}"`) && !MADE.some((beginning) => name.startsWith(beginning));
    });
    expect(unused).toEqual([]);
  });

  it("are Chinese in Chinese, but for names and keys", () => {
    const names = /\{\{\w+\}\}|Runyard|JSON|Ctrl|Esc|notes\.md|English|echo hello > hello\.txt && ls -l|ask:|run:|\bA\b/g;
    for (const [key, text] of chinese) expect([key, text.replace(names, "").match(/[A-Za-z]{2,}/)]).toEqual([key, null]);
  });
});
