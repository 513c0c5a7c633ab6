import { beforeAll, expect, it } from "vitest";
import { refusalOf } from "./server";
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
