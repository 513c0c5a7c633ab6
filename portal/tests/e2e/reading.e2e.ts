import { describe, expect, it } from "vitest";
import { begin, events, killServer, sessionOf, settled, until, URL, visit, visits, type Visit } from "./visit";

let here: Visit;
visits(() => here);

describe("writing", () => {
  it("sends nothing when Enter accepts a Chinese composition", async () => {
    here = await visit();
    const { page, context } = here;
    await page.goto(URL);
    const field = page.getByRole("textbox");
    await field.click();
    const keyboard = await context.newCDPSession(page);
    await keyboard.send("Input.imeSetComposition", { text: "nihao", selectionStart: 5, selectionEnd: 5 });
    await keyboard.send("Input.dispatchKeyEvent", { type: "rawKeyDown", windowsVirtualKeyCode: 229, key: "Enter", code: "Enter" });
    expect(await field.inputValue()).toBe("nihao");
    await keyboard.send("Input.insertText", { text: "你好" });
    // Safari's order: the composition ends first, and its Enter comes as any other
    await field.evaluate((element) => {
      element.dispatchEvent(new CompositionEvent("compositionstart", { bubbles: true }));
      element.dispatchEvent(new CompositionEvent("compositionend", { bubbles: true }));
      element.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
    });
    await page.waitForTimeout(100);
    expect(await field.inputValue()).toBe("你好");
    expect(new globalThis.URL(page.url()).pathname).toBe("/");
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/s\//);
    await until(async () => (await events(sessionOf(page.url())))[0]?.data.prompt === "你好", "the prompt arrives whole");
  });

  it("sends once what was written without a network, when the network is back", async () => {
    here = await visit();
    const { page, context } = here;
    const session = await begin("say: ready");
    await settled(session);
    await page.goto(`${URL}/s/${session}`);
    await page.getByText("ready", { exact: true }).waitFor();
    await context.setOffline(true);
    const field = page.getByRole("textbox", { name: "Write a prompt" });
    await field.fill("say: from afar");
    await field.press("Enter");
    await page.getByText("Sending…").waitFor();
    await context.setOffline(false);
    await page.getByText("from afar", { exact: true }).waitFor();
    await settled(session);
    expect((await events(session)).filter((event) => event.data.prompt === "say: from afar")).toHaveLength(1);
    expect(await page.getByText("Sending…").count()).toBe(0);
  });
});

describe("reading", () => {
  it("loses and doubles no word when the server dies in the middle of a stream", async () => {
    here = await visit();
    const { page } = here;
    const session = await begin("flood 1200", "auto");
    await page.goto(`${URL}/s/${session}`);
    await page.getByRole("article").first().waitFor();
    killServer();
    await settled(session);
    await page.getByText(/Succeeded/).waitFor();
    const said = (await events(session)).filter((event) => event.type === "message.delta" && event.data.role === "assistant").map((event) => String(event.data.text));
    const words = (text: string): string => text.replaceAll(/\s+/g, " ").trim();
    expect(words((await page.getByRole("article").allTextContents()).join(" "))).toBe(words(said.join("")));
  });

  it("goes from row to row by keys, opens one where it is, and finds it again by its link", async () => {
    here = await visit();
    const { page } = here;
    const session = await begin("write a.md: one\nsay: the end", "auto");
    await settled(session);
    await page.goto(`${URL}/s/${session}`);
    await page.getByText(/Succeeded/).waitFor();
    await page.getByRole("heading", { level: 1 }).click();
    for (const key of ["j", "k", "k"]) await page.keyboard.press(key);
    const row = page.locator('[data-chosen="true"]');
    expect(await row.textContent()).toContain("Write a.md");
    const line = row.getByRole("button");
    const before = (await line.boundingBox())?.y;
    await page.keyboard.press("o");
    await row.getByText("new", { exact: true }).waitFor();
    expect((await line.boundingBox())?.y).toBe(before);
    const seq = (await events(session)).findIndex((event) => event.type === "tool.call") + 1;
    await page.goto(`${URL}/s/${session}?at=${seq}`);
    await page.locator('[class*="marked"]').getByText("Write a.md").waitFor();
  });

  it("opens a link to an early event of a long session there, and not at the end", async () => {
    here = await visit();
    const { page } = here;
    const session = await begin(Array.from({ length: 25 }, (_, at) => `write f${at}.md: x`).join("\n"), "auto");
    await settled(session);
    const seq = (await events(session)).findIndex((event) => event.type === "tool.call") + 1;
    await page.goto(`${URL}/s/${session}?at=${seq}`);
    const row = page.locator('[class*="marked"]').getByText("Write f0.md");
    await row.waitFor();
    await page.getByRole("button", { name: "Newest" }).waitFor();
    const log = await page.getByRole("log").boundingBox();
    const box = await row.boundingBox();
    expect(box?.y).toBeGreaterThanOrEqual(log?.y ?? Infinity);
    expect(box?.y).toBeLessThan((log?.y ?? 0) + (log?.height ?? 0));
  });

  it("does not move the row under the eye while words stream in", async () => {
    here = await visit();
    const { page } = here;
    const session = await begin(Array.from({ length: 40 }, (_, at) => `say: line ${at}`).join("\n"), "auto");
    await settled(session);
    await page.goto(`${URL}/s/${session}`);
    await page.getByText(/Succeeded/).waitFor();
    await begin("flood 1500", "auto", session);
    await page.getByText("flood 1500").waitFor();
    const log = page.getByRole("log");
    await log.hover();
    await page.mouse.wheel(0, -900);
    await page.getByRole("button", { name: "Newest" }).waitFor();
    const moved = await page.evaluate(async () => {
      const scroller = document.querySelector('[role="log"]') as HTMLElement;
      // the wheel's own movement ends first
      for (let still = 0, top = -1; still < 20; still = scroller.scrollTop === top ? still + 1 : 0) {
        top = scroller.scrollTop;
        await new Promise(requestAnimationFrame);
      }
      const box = scroller.getBoundingClientRect();
      const row = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2) as HTMLElement;
      const start = row.getBoundingClientRect().top;
      let most = 0;
      for (let frame = 0; frame < 120; frame++) {
        await new Promise(requestAnimationFrame);
        most = Math.max(most, Math.abs(row.getBoundingClientRect().top - start));
      }
      return most;
    });
    expect(moved).toBe(0);
    await settled(session);
  });

  it("shows every word once after reloads in the middle of a stream", async () => {
    here = await visit();
    const { page } = here;
    const session = await begin("flood 800", "auto");
    await page.goto(`${URL}/s/${session}`);
    for (let at = 0; at < 3; at++) {
      await page.getByRole("article").first().waitFor();
      await page.reload();
    }
    await settled(session);
    await page.getByText(/Succeeded/).waitFor();
    const said = (await events(session)).filter((event) => event.type === "message.delta" && event.data.role === "assistant").map((event) => String(event.data.text));
    const words = (text: string): string => text.replaceAll(/\s+/g, " ").trim();
    const shown = await page.getByRole("article").allTextContents();
    expect(words(shown.join(" "))).toBe(words(said.join("")));
  });
});
