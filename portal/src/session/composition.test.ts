import { describe, expect, it } from "vitest";
import { makeComposition } from "./composition";

const enter = { isComposing: false, keyCode: 13 };

describe("a composition", () => {
  it("holds Enter while it goes on and just after its end", () => {
    let now = 0;
    const composition = makeComposition(() => now);
    expect(composition.isComposing(enter)).toBe(false);
    composition.start();
    expect(composition.isComposing(enter)).toBe(true);
    composition.end();
    now = 30;
    expect(composition.isComposing(enter)).toBe(true);
    now = 60;
    expect(composition.isComposing(enter)).toBe(false);
  });

  it("trusts the browser's own word too", () => {
    const composition = makeComposition(() => 0);
    expect(composition.isComposing({ isComposing: true, keyCode: 13 })).toBe(true);
    expect(composition.isComposing({ isComposing: false, keyCode: 229 })).toBe(true);
  });
});
