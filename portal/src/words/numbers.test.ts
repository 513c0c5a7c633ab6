import { describe, expect, it } from "vitest";
import { money } from "./numbers";

describe("money", () => {
  it("is written as a currency where the code is one", () => {
    expect(money(1.5, "USD")).toBe("$1.50");
    expect(money(0.0012, "usd")).toBe("$0.0012");
  });

  it.each(["credits", "US", "€€€", ""])("names what is no code instead of failing: %s", (currency) => {
    expect(money(1.5, currency)).toBe(`1.50 ${currency}`.trim());
  });
});
