/** What a long log costs the page, step by step: each is told as a line of JSON. Started by tests/benchmarks/browser/portal.py. */
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const { CHROMIUM, RUNYARD_SIGN_IN, SESSION_URL, LAST_WORD } = process.env;
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"];
const LETTERS = 100;
const MIB = 2 ** 20;

const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
const page = await browser.newPage({ viewport: { width: 1360, height: 860 }, locale: "en-GB", reducedMotion: "reduce" });
page.setDefaultTimeout(120_000);
const session = await page.context().newCDPSession(page);
// CPU time of the thread, not the time on the clock: other programs of the machine do not count
await session.send("Performance.enable", { timeDomain: "threadTicks" });
const commands = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function metrics() {
  const { metrics: found } = await session.send("Performance.getMetrics");
  return Object.fromEntries(found.map(({ name, value }) => [name, value]));
}

const cpuMs = async () => (await metrics()).TaskDuration * 1000;

async function figures(before) {
  const cpu = (await cpuMs()) - before;
  await session.send("HeapProfiler.collectGarbage");
  const heap = (await metrics()).JSHeapUsedSize / MIB;
  const nodes = await page.evaluate(() => document.body.querySelectorAll("*").length);
  return { cpu, heap, nodes };
}

const tell = (step, known) => process.stdout.write(`${JSON.stringify({ step, ...known })}\n`);

await page.goto(RUNYARD_SIGN_IN);
await page.getByRole("textbox").waitFor();
await page.waitForLoadState("networkidle");
// the page that was open is not part of it: the session is opened in place, as a click does
const opened = await cpuMs();
await page.locator(`a[href="${new URL(SESSION_URL).pathname}"]`).first().click();
await page.getByRole("log").getByText("Part 3 of answer 1999.").waitFor();
tell("shown", await figures(opened));

const log = page.getByRole("log");
const reading = await cpuMs();
const isAtStart = () => log.evaluate((element) => element.textContent?.includes("answer 1.") ?? false);
while (!(await isAtStart())) {
  const older = page.waitForResponse(/\/transcript\?/, { timeout: 5_000 }).catch(() => null);
  await log.evaluate((element) => {
    element.dispatchEvent(new WheelEvent("wheel", { deltaY: -9999, bubbles: true }));
    element.scrollTop = 0;
  });
  await older;
  await page.evaluate(() => new Promise(requestAnimationFrame));
}
tell("read", await figures(reading));

await page.getByRole("button", { name: "Newest" }).click();
await log.getByText("Part 3 of answer 1999.").waitFor();
await page.evaluate(() => {
  globalThis.longest = 0;
  new PerformanceObserver((list) => list.getEntries().forEach((one) => (globalThis.longest = Math.max(globalThis.longest, one.duration)))).observe({ type: "longtask" });
});
const streaming = await cpuMs();
await commands.next();
await log.getByText(LAST_WORD).waitFor();
tell("streamed", { cpu: (await cpuMs()) - streaming, longest: await page.evaluate(() => globalThis.longest) });

await page.getByRole("textbox").focus();
const typing = await cpuMs();
for (let letter = 0; letter < LETTERS; letter++) await page.keyboard.press("x");
tell("typed", { cpu: ((await cpuMs()) - typing) / LETTERS });
await browser.close();
