import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const sheet = readFileSync(new URL("./tokens.css", import.meta.url), "utf8");
const colours = new Map([...sheet.matchAll(/--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)/g)].map(([, name, light, dark]) => [name, [light ?? "", dark ?? ""] as const]));

function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one: string, other: string): number {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return ((light ?? 0) + 0.05) / ((dark ?? 0) + 0.05);
}

const GROUNDS = ["paper", "raised", "sunken", "hover"];
const PAIRS = [
  ...["ink", "soft", "accent", "warn", "ill"].flatMap((ink) => GROUNDS.map((ground) => [ink, ground])),
  ["on-accent", "accent"],
  ["accent", "accent-soft"],
  ["warn", "warn-soft"],
  ["soft", "warn-soft"],
  ["ill", "ill-soft"],
  ["soft", "ill-soft"],
  ["add-ink", "add"],
  ["del-ink", "del"],
] as [string, string][];

describe.each([[0, "light"], [1, "dark"]] as const)("colours %#", (theme, name) => {
  it.each(PAIRS)(`${name}: %s can be read on %s`, (ink, ground) => {
    expect(contrast(colours.get(ink)?.[theme] ?? "", colours.get(ground)?.[theme] ?? "")).toBeGreaterThanOrEqual(4.5);
  });
});
