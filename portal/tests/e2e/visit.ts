/** A visitor: a signed-in page of the portal that notes every error and every breach of the policy. */
import { readFileSync } from "node:fs";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";
import { afterAll, afterEach, expect, inject } from "vitest";
import { CHROMIUM, FLAGS } from "./signIn";

export const URL = process.env.RUNYARD_URL ?? "http://127.0.0.1:8080";
const TOKEN = process.env.RUNYARD_TOKEN ?? "";

export interface Look {
  language?: "en" | "zh";
  theme?: "light" | "dark";
  width?: number;
}

export interface Visit {
  page: Page;
  context: BrowserContext;
  faults: string[];
  /** What the server refused, for the report of a test that failed. */
  refused: string[];
}

let browser: Browser | null = null;

export async function visit({ language = "en", theme = "light", width = 1360 }: Look = {}): Promise<Visit> {
  browser ??= await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  const context = await browser.newContext({
    storageState: JSON.parse(inject("state")) as never,
    viewport: { width, height: width < 700 ? 740 : 860 },
    locale: language === "zh" ? "zh-CN" : "en-GB",
    colorScheme: theme,
    hasTouch: width < 700,
    reducedMotion: "reduce",
  });
  const faults: string[] = [];
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
    // the agent that needs no account: others of the stack take their words from a script that other tests write
    localStorage["runyard.local"] ??= '{"state":{"agent":"demo"},"version":1}';
  });
  context.setDefaultTimeout(Number(process.env.RUNYARD_BROWSER_MS ?? 90_000));
  const page = await context.newPage();
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => message.text().startsWith("policy:") && faults.push(message.text()));
  const refused: string[] = [];
  page.on("response", (response) => response.status() >= 400 && refused.push(`${response.status()} ${response.url()}`));
  page.on("requestfailed", (request) => refused.push(`${request.failure()?.errorText ?? "failed"} ${request.url()}`));
  return { page, context, faults, refused };
}

/** After each test check its visit for faults and close it; after the last test of the file close the browser. */
export function visits(current: () => Visit): void {
  afterEach(async ({ task }) => {
    const { page, context, faults, refused } = current();
    if (task.result?.state === "fail") console.error([page.url(), ...refused, await page.locator("body").innerText({ timeout: 5_000 }).catch(String)].join("\n"));
    await context.close();
    expect(faults).toEqual([]);
  });
  afterAll(leave);
}

export const sessionOf = (address: string): string => /\/s\/([0-9a-f-]+)/.exec(address)?.[1] ?? "";

export async function leave(): Promise<void> {
  await browser?.close();
  browser = null;
}

export async function api<T>(path: string, body?: unknown, method = body ? "POST" : "GET"): Promise<T> {
  const headers = { Authorization: `Bearer ${TOKEN}`, "Content-Type": "application/json" };
  const answer = await fetchAgain(URL + path, { method, headers, body: body ? JSON.stringify(body) : null });
  return (await answer.json()) as T;
}

/** A server that is killed in a test is away for a moment. */
async function fetchAgain(url: string, given: RequestInit): Promise<Response> {
  for (let left = 40; ; left--) {
    try {
      const answer = await fetch(url, given);
      if (answer.status < 500 || left === 0) return answer;
    } catch (error) {
      if (left === 0) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

/** Start a run by the API; the session's id. */
export async function begin(prompt: string, mode: "ask" | "auto" = "ask", sessionId?: string): Promise<string> {
  const started = await api<{ sessionId: string }>("/api/runs/start", { prompt, provider: "demo", options: { mode }, ...(sessionId && { sessionId }) });
  return started.sessionId;
}

/** Kill the API's process; its supervisor starts another. */
export function killServer(): void {
  const running = JSON.parse(readFileSync(`${process.env.RUNYARD_DATA_DIR ?? ""}/running.json`, "utf8")) as { children: { api: [number] } };
  process.kill(running.children.api[0], "SIGKILL");
}

export async function until(condition: () => Promise<boolean> | boolean, what: string, ms = 90_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Wait until nothing runs or waits in the session. */
export async function settled(sessionId: string): Promise<void> {
  await until(async () => {
    const queue = await api<{ live?: unknown; items: unknown[] }>(`/api/sessions/${sessionId}/queue`);
    return !queue.live && queue.items.length === 0;
  }, "the session settles");
}

export async function events(sessionId: string): Promise<{ type: string; author: string; data: Record<string, unknown> }[]> {
  const page = await api<{ items: { type: string; author: string; data: Record<string, unknown> }[] }>(`/api/sessions/${sessionId}/events?after=0&limit=1000`);
  return page.items;
}
