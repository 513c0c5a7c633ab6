/** Numbers, sizes, times and money in the reader's language. */
import { useEffect, useState } from "react";
import { words } from "./words";

const lang = (): string => words.language || "en";

/** One formatter for each language and kind: making one costs a hundred times what using it does. */
const numbers = new Map<string, Intl.NumberFormat>();
const times = new Map<string, Intl.DateTimeFormat>();

function kept<F>(made: Map<string, F>, options: object, make: (language: string) => F): F {
  const key = lang() + JSON.stringify(options);
  const known = made.get(key) ?? make(lang());
  made.set(key, known);
  return known;
}

const numberFormat = (options: Intl.NumberFormatOptions): Intl.NumberFormat => kept(numbers, options, (language) => new Intl.NumberFormat(language, options));
const timeFormat = (options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat => kept(times, options, (language) => new Intl.DateTimeFormat(language, options));

export function shortNumber(value: number): string {
  return numberFormat({ notation: value >= 10_000 ? "compact" : "standard", maximumFractionDigits: 1 }).format(value);
}

export function bytes(value: number): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"] as const;
  const step = value < 1 ? 0 : Math.min(4, Math.floor(Math.log10(value) / 3));
  const format = { style: "unit", unit: units[step] ?? "byte", unitDisplay: step ? "short" : "narrow", maximumFractionDigits: 1 } as const;
  return numberFormat(format).format(value / 1000 ** step);
}

/** An agent may name any currency, such as credits; a formatter of money throws for what is no code of three letters. */
export function money(amount: number, currency: string): string {
  const digits = { minimumFractionDigits: 2, maximumFractionDigits: amount > 0 && amount < 0.01 ? 4 : 2 };
  if (!/^[A-Za-z]{3}$/.test(currency)) return `${numberFormat(digits).format(amount)} ${currency}`.trim();
  return numberFormat({ style: "currency", currency, ...digits }).format(amount);
}

const unit = (value: number, name: "second" | "minute" | "hour" | "day", digits = 0): string =>
  numberFormat({ style: "unit", unit: name, unitDisplay: "narrow", maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value);

/** `0.4s`, `12s`, `2m 14s`, `3h 5m`, `2d`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return unit(seconds, "second", 1);
  if (seconds < 60) return unit(Math.floor(seconds), "second");
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${unit(minutes, "minute")} ${unit(Math.floor(seconds % 60), "second")}`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${unit(hours, "hour")} ${unit(minutes % 60, "minute")}`;
  return unit(Math.floor(hours / 24), "day");
}

/** One unit, for lists: `now` below a minute is "0m" to no one. */
export function age(ms: number): string {
  const minutes = Math.floor(Math.max(0, ms) / 60_000);
  if (minutes < 1) return unit(Math.floor(Math.max(0, ms) / 1000), "second");
  if (minutes < 60) return unit(minutes, "minute");
  if (minutes < 2880) return unit(Math.floor(minutes / 60), "hour");
  return unit(Math.floor(minutes / 1440), "day");
}

/** `3s ago`, `2m ago`, `yesterday`: beside durations, where an age alone would read as one. */
export function ago(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  if (seconds < 60) return past(seconds, "second");
  if (seconds < 3600) return past(Math.floor(seconds / 60), "minute");
  if (seconds < 172_800) return past(Math.floor(seconds / 3600), "hour");
  return past(Math.floor(seconds / 86_400), "day");
}

const past = (value: number, name: "second" | "minute" | "hour" | "day"): string => new Intl.RelativeTimeFormat(lang(), { style: "narrow", numeric: "auto" }).format(-value, name);

export function dateTime(at: string): string {
  return timeFormat({ dateStyle: "medium", timeStyle: "short" }).format(new Date(at));
}

export function timeOfDay(at: string): string {
  return timeFormat({ timeStyle: "medium" }).format(new Date(at));
}

export function day(at: string): string {
  return timeFormat({ dateStyle: "medium" }).format(new Date(at));
}

/** The time now, told anew every `ms` while the tab is seen. */
export function useNow(ms = 1000, isOn = true): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!isOn) return;
    const timer = setInterval(() => document.visibilityState === "visible" && setNow(Date.now()), ms);
    return () => clearInterval(timer);
  }, [ms, isOn]);
  return now;
}

export function list(names: readonly string[]): string {
  return new Intl.ListFormat(words.language, { type: "conjunction" }).format(names);
}
