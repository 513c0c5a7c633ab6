import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { adviceFor } from "./problems";
import server from "./words/server.zh.json";

/** Where the server's codes are written: `code="name"`, `code = "name"` and `code: ClassVar[str] = "name"`. */
const ROOMS = ["functions", "handlers", "schema", "jobs"];
/** Refusals of executors about files are answered with their own codes. */
const WITH_EXECUTORS = [...ROOMS, "executor/workspaces"];
const CODE = /\bcode(?:: ClassVar\[str\]|: str)? ?= ?"([a-z_]+)"/g;
const REPOSITORY = new URL("../../", import.meta.url);

/** Where codes of warnings, of ended runs and of agents that are not ready are written. */
const TOLD = /(?:(?:RunWarning|Reason)\(\s*code=|(?:TurnFailed|NotReady|_warn)\(\s*|_warn, )"([a-z_]+)"/g;
/** Warnings with the agent's own words. */
const AS_THEY_ARE = ["agent_notice"];

function codes(rooms = ROOMS, pattern = CODE): string[] {
  const found = new Set<string>();
  for (const room of rooms) {
    const folder = new URL(`${room}/`, REPOSITORY);
    for (const name of readdirSync(folder, { recursive: true }).map(String).filter((one) => one.endsWith(".py")))
      for (const [, code] of readFileSync(new URL(name, folder), "utf8").matchAll(pattern)) found.add(code ?? "");
  }
  return [...found].sort();
}

const elsewhere = { ...server.why, ...server.worker, ...server.reason };
const problems = codes(WITH_EXECUTORS).filter((code) => code in server.problem || !(code in elsewhere));

describe("the server's codes", () => {
  it("are found", () => {
    expect(problems).toEqual(expect.arrayContaining(["unknown_session", "not_readable"]));
    expect(problems.length).toBeGreaterThan(100);
  });

  it("of problems have advice (problems.ts)", () => {
    expect(problems.filter((code) => adviceFor(code) === null)).toEqual([]);
  });

  it("have a Chinese sentence (words/server.zh.json)", () => {
    expect(problems.filter((code) => !(code in server.problem))).toEqual([]);
  });

  it("of warnings, ended runs and agents that are not ready have a Chinese sentence", () => {
    const told = codes(["executor", ...ROOMS], TOLD).filter((code) => !AS_THEY_ARE.includes(code));
    expect(told).toEqual(expect.arrayContaining(["agent_silent", "end_not_kept", "program_missing", "timeout", "workspace_untrusted"]));
    expect(told.filter((code) => !(code in server.reason || code in server.provider))).toEqual([]);
  });

  it("have sentences in Chinese, but for values", () => {
    const sentences = Object.values(server).flatMap((section) => Object.entries(section));
    expect(sentences.filter(([, sentence]) => /[A-Za-z]/.test(sentence.replaceAll(/\{\{\w+\}\}/g, "")))).toEqual([]);
  });
});
