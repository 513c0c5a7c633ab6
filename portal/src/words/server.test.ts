import { beforeAll, expect, it } from "vitest";
import { lackOf, noticeOf, refusalOf } from "./server";
import zh from "./server.zh.json";
import { words } from "./words";

beforeAll(async () => {
  await words.init({ lng: "en", fallbackLng: "en", resources: { en: { words: {} }, zh: { server: zh } } });
});

it("says a refusal of which only the code is known", async () => {
  expect(["unknown_path", "not_a_file", "503"].map(refusalOf)).toEqual(["Unknown path", "Not a file", "503"]);
  await words.changeLanguage("zh");
  expect(refusalOf("unknown_path")).toBe(zh.problem.unknown_path);
  expect(refusalOf("invalid")).toBe("输入有误。");
  expect(refusalOf("503")).toBe("503");
});

it("says why an agent is not ready by its code and values, and an unknown code in the server's words", async () => {
  const lack = { reason: "No login is configured: set one of A_KEY, B_KEY.", reasonCode: "login_missing", reasonValues: { variables: "A_KEY, B_KEY" } };
  await words.changeLanguage("en");
  expect(lackOf(lack)).toBe(lack.reason);
  await words.changeLanguage("zh");
  expect(lackOf(lack)).toBe("没有配置登录：请设置 A_KEY, B_KEY 中的一个。");
  expect(lackOf({ reason: "Of an older release." })).toBe("Of an older release.");
});

it("says a warning by its code, and keeps the server's words beside it", async () => {
  const warning = { code: "process_ended", message: "The agent left a process running, and Runyard ended it: sleep" };
  await words.changeLanguage("en");
  expect(noticeOf(warning)).toEqual({ sentence: warning.message, original: "" });
  await words.changeLanguage("zh");
  expect(noticeOf(warning)).toEqual({ sentence: zh.reason.process_ended, original: warning.message });
  expect(noticeOf({ reason: { code: "agent_crashed", message: "It crashed." } })).toEqual({ sentence: zh.reason.agent_crashed, original: "It crashed." });
  expect(noticeOf({ code: "agent_notice", message: "The agent's own words" })).toEqual({ sentence: "The agent's own words", original: "" });
  expect(noticeOf({ path: "uploads/a.png" })).toEqual({ sentence: "uploads/a.png", original: "" });
});
