import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Result } from "axe-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { begin, leave, settled, until, api, URL, visit, type Visit } from "./visit";

const SHOTS = new globalThis.URL("../shots/", import.meta.url).pathname;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PAGES = ["start", "chat", "asked", "inbox", "timeline", "files", "file", "comparison", "pane", "usage", "settings", "workers", "queue", "providers", "rules", "audit"] as const;
const LOOKS = (["en", "zh"] as const).flatMap((language) =>
  (["light", "dark"] as const).flatMap((theme) => [1360, 360].map((width) => ({ language, theme, width }))),
);
let places: Record<(typeof PAGES)[number], string>;

const SAID = "# A title|Text with **bold**, `code` and a [link](https://example.org).|- one|- two|## A table|x";

beforeAll(async () => {
  mkdirSync(SHOTS, { recursive: true });
  const done = await begin(`say: ${SAID.replaceAll("|", " ")}\nwrite notes.md: hello`, "auto");
  await settled(done);
  await api(`/api/session-workers/${done}/sync`, {});
  await begin("run: mkdir -p src && printf 'def one():\\n    return 1\\n' > src/app.py", "auto", done);
  await settled(done);
  await api(`/api/session-workers/${done}/sync`, {});
  const asked = await begin("整理日志并写出摘要");
  await until(async () => (await api<{ items: unknown[] }>(`/api/human-loop/pending?sessionId=${asked}`)).items.length > 0, "a question");
  places = {
    start: "/",
    chat: `/s/${done}?panel=todos`,
    asked: `/s/${asked}`,
    inbox: "/inbox",
    timeline: `/s/${done}/timeline`,
    files: `/s/${done}/files`,
    file: `/s/${done}/files/src/app.py`,
    comparison: `/s/${done}/files/src/app.py?diff=${await comparison(done)}`,
    pane: `/s/${done}?panel=files`,
    usage: "/usage",
    settings: "/settings",
    workers: "/ops/workers",
    queue: "/ops/queue",
    providers: "/ops/providers",
    rules: "/ops/rules",
    audit: "/ops/audit",
  };
});
afterAll(leave);

/** The session's two runs as an address compares them. */
async function comparison(session: string): Promise<string> {
  const { items } = await api<{ items: { runId: string }[] }>(`/api/sessions/${session}/runs`);
  return items.map((run) => run.runId).reverse().join("..");
}

describe.each(LOOKS)("in $language, $theme, $width px", (look) => {
  let here: Visit;
  beforeAll(async () => {
    here = await visit(look);
  });
  afterAll(() => here.context.close());

  it.each(PAGES)("%s has no fault that axe finds, no scroll bar of its own and no breach of the policy", async (name) => {
    const { page, faults } = here;
    await page.goto(URL + places[name]);
    await page.locator("h1").first().waitFor();
    await page.waitForLoadState("networkidle");
    await page.waitForFunction(() => document.querySelector('[role="status"][aria-label]') === null);
    await page.screenshot({ path: `${SHOTS}${name}-${look.language}-${look.theme}-${look.width}.png` });
    const beyond = await page.evaluate(() => [document.documentElement.scrollWidth - innerWidth, document.documentElement.scrollHeight - innerHeight]);
    await page.evaluate(AXE);
    const results = await page.evaluate(async () => {
      const axe = (globalThis as unknown as { axe: { run: (options: object) => Promise<{ violations: Result[] }> } }).axe;
      return (await axe.run({ resultTypes: ["violations"] })).violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).slice(0, 3).join(" | ")}`);
    });
    expect(results).toEqual([]);
    expect(Math.max(...beyond)).toBeLessThanOrEqual(0);
    expect(faults).toEqual([]);
  });
});
