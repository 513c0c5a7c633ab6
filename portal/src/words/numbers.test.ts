import { describe, expect, it } from "vitest";
import { ago, money } from "./numbers";

describe("money", () => {
  it("is written as a currency where the code is one", () => {
    expect(money(1.5, "USD")).toBe("$1.50");
    expect(money(0.0012, "usd")).toBe("$0.0012");
  });

  it.each(["credits", "US", "€€€", ""])("names what is no code instead of failing: %s", (currency) => {
    expect(money(1.5, currency)).toBe(`1.50 ${currency}`.trim());
  });
});

describe("ago", () => {
  it.each([[0, "now"], [3_400, "3s ago"], [61_000, "1m ago"], [7_300_000, "2h ago"], [180_000_000, "2d ago"]])("says of %d ms that they are past: %s", (ms, said) => {
    expect(ago(ms)).toBe(said);
  });
});
