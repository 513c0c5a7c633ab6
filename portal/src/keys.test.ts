import { describe, expect, it } from "vitest";
import { KEYS, nameOf } from "./keys";

describe("KEYS", () => {
  it("has no key twice", () => {
    const used = Object.values(KEYS);
    expect(new Set(used).size).toBe(used.length);
  });

  it("names keys as the browser tells them", () => {
    const press = { key: "a", ctrlKey: false, metaKey: false, altKey: false, shiftKey: false };
    expect(nameOf(press)).toBe(KEYS.allow);
    expect(nameOf({ ...press, key: "A", shiftKey: true })).toBe(KEYS.allowAlways);
    expect(nameOf({ ...press, key: "k", metaKey: true })).toBe(KEYS.palette);
    expect(nameOf({ ...press, key: "?", shiftKey: true })).toBe(KEYS.help);
    expect(nameOf({ ...press, key: "1", altKey: true })).toBe(KEYS.panelTodos);
  });
});
