import { describe, expect, it } from "vitest";
import { initialsOf } from "./present";

describe("initials", () => {
  it.each([
    ["li wang", "LW"],
    ["admin", "A"],
    ["ann.b-cole", "AC"],
    ["李小明", "明"],
    ["", "?"],
  ])("of %s are %s", (name, initials) => {
    expect(initialsOf(name)).toBe(initials);
  });
});
