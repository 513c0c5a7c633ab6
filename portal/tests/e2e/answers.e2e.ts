import { describe, expect, it } from "vitest";
import { begin, events, settled, until, URL, visit, visits, type Visit } from "./visit";

let here: Visit;
visits(() => here);

describe("a first visit", () => {
  it("leads from an example to an allowed change, with the keyboard, and shows the work as saved", async () => {
    here = await visit();
    const { page } = here;
    await page.goto(URL);
    await page.getByRole("combobox", { name: "Agent" }).click();
    await page.getByRole("option", { name: "Demo agent" }).click();
    await page.getByRole("list", { name: "Examples" }).getByRole("button", { name: /Look around/ }).click();
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/s\//);
    const card = page.getByRole("group", { name: /Question: Write notes.md/ });
    await card.waitFor();
    expect(await card.textContent()).toContain("# Notes");
    await page.getByRole("heading", { level: 1 }).click();
    await card.locator("button[aria-keyshortcuts=a]").waitFor();
    await page.keyboard.press("a");
    await page.getByText(/Succeeded ·/).waitFor();
    expect(await card.count()).toBe(0);
    await page.getByRole("button", { name: "Saved to run 1", exact: true }).waitFor();
    await page.getByRole("button", { name: /Todos/ }).click();
    await page.getByRole("heading", { name: /3 of 3/ }).waitFor();
  });

  it("starts with what was typed before a reload", async () => {
    here = await visit();
    const { page } = here;
    await page.goto(URL);
    await page.getByRole("textbox").fill("a draft that stays");
    await page.reload();
    expect(await page.getByRole("textbox").inputValue()).toBe("a draft that stays");
    await page.getByRole("textbox").fill("");
  });
});

describe("the sign of saved work", () => {
  it.each([
    { language: "en", unsaved: /^(Not saved yet|Not all saved yet|Saving)/, saved: "Saved to run 1", allow: "Allow" },
    { language: "zh", unsaved: /^(尚未|保存中)/, saved: "已保存到第 1 次运行", allow: "允许" },
  ] as const)("never says saved in the first run, and to run 1 after it, in $language", async ({ language, unsaved, saved, allow }) => {
    here = await visit({ language });
    const { page } = here;
    await page.addInitScript(() => {
      const seen = new Set<string>();
      const note = (): void => document.querySelectorAll("h1 ~ button[aria-label]").forEach((one) => seen.add(one.getAttribute("aria-label") ?? ""));
      new MutationObserver(note).observe(document, { subtree: true, childList: true, attributes: true });
      Object.assign(globalThis, { seen });
    });
    const session = await begin("write sign.md: x");
    await page.goto(`${URL}/s/${session}`);
    const row = page.getByRole("complementary").getByRole("listitem").filter({ has: page.locator(`a[href="/s/${session}"]`) });
    const allowed = page.getByRole("button", { name: allow, exact: true });
    await allowed.waitFor();
    const sign = page.locator("h1 ~ button").filter({ hasText: unsaved });
    await sign.waitFor();
    await until(async () => (await row.innerText()).includes(await sign.innerText()), "the list shows the sign of the header");
    const seen = await page.evaluate(() => [...(globalThis as unknown as { seen: Set<string> }).seen]);
    expect(seen).toContainEqual(expect.stringMatching(unsaved));
    expect(seen).not.toContainEqual(expect.stringMatching(/^(Saved|已保存)/));
    await allowed.click();
    await page.locator("h1 ~ button").filter({ hasText: saved }).waitFor();
    await row.getByText(saved, { exact: true }).waitFor({ state: "attached" });
  });
});

describe("answers", () => {
  it("tells the agent why it was denied", async () => {
    here = await visit();
    const { page } = here;
    const session = await begin("write a.md: one");
    await page.goto(`${URL}/s/${session}`);
    await page.getByRole("button", { name: "Deny with reason" }).click();
    await page.getByRole("textbox", { name: "Reason for the agent" }).fill("Write b.md instead");
    await page.getByRole("button", { name: "Deny", exact: true }).click();
    await page.getByText("Denied by you:").waitFor();
    await settled(session);
    const resolved = (await events(session)).find((event) => event.type === "human_loop.resolved");
    expect(resolved?.data).toMatchObject({ decision: "deny", reason: "Write b.md instead" });
  });

  it("fills a form from the question's schema", async () => {
    here = await visit();
    const { page } = here;
    const session = await begin("ask: Which language?");
    await page.goto(`${URL}/s/${session}`);
    const form = page.getByRole("group", { name: /Which language/ });
    await form.getByRole("textbox").fill("Chinese");
    await form.getByRole("button", { name: "Answer" }).click();
    await page.getByText("Answered by you:").waitFor();
    await settled(session);
    expect((await events(session)).find((event) => event.type === "human_loop.resolved")?.data.decision).toBe("answer");
  });

  it("counts one of two tabs that answer at once, and both show who", async () => {
    here = await visit();
    const session = await begin("write both.md: x");
    const other = await here.context.newPage();
    const pages = [here.page, other];
    for (const page of pages) await page.goto(`${URL}/s/${session}`);
    const buttons = pages.map((page) => page.getByRole("button", { name: "Allow", exact: true }));
    for (const button of buttons) await button.waitFor();
    await Promise.all(buttons.map((button) => button.evaluate((element: HTMLElement) => element.click())));
    for (const page of pages) await page.getByText("Allowed by you:").waitFor();
    await settled(session);
    expect((await events(session)).filter((event) => event.type === "human_loop.resolved")).toHaveLength(1);
  });

  it("waits in the inbox and is answered there", async () => {
    here = await visit();
    const { page } = here;
    const session = await begin("write inbox.md: x");
    await page.goto(`${URL}/inbox`);
    const item = page.getByRole("main").getByRole("listitem").filter({ has: page.locator(`a[href="/s/${session}"]`) });
    await item.getByRole("button", { name: "Allow", exact: true }).click();
    await settled(session);
    await until(async () => (await item.count()) === 0, "the answered question leaves the inbox");
    await page.getByRole("tab", { name: "Decided" }).click();
    const decided = page.getByRole("row").filter({ has: page.locator(`a[href="/s/${session}"]`) });
    await decided.getByText("Allowed by you", { exact: true }).waitFor();
  });
});

describe("a notification", () => {
  it("tells of a question while no tab is seen, and opens it when it is clicked", async () => {
    here = await visit();
    const { page, context } = here;
    await context.grantPermissions(["notifications"]);
    await page.addInitScript(() => {
      const told: Notification[] = [];
      const Shown = globalThis.Notification;
      globalThis.Notification = class extends Shown {
        constructor(title: string, options?: NotificationOptions) {
          super(title, options);
          told.push(this);
        }
      };
      Object.assign(globalThis, { told });
    });
    await page.goto(`${URL}/settings`);
    await page.getByRole("switch", { name: "Notifications" }).click();
    await page.getByRole("switch", { name: "Notifications", checked: true }).waitFor();
    await page.evaluate(() => Object.defineProperty(document, "visibilityState", { get: () => "hidden" }));
    const session = await begin("write told.md: x");
    await until(() => page.evaluate(() => (globalThis as unknown as { told: Notification[] }).told.some((one) => one.body.includes("Write told.md"))), "a notification tells of the question");
    await page.evaluate(() => (globalThis as unknown as { told: Notification[] }).told.at(-1)?.dispatchEvent(new Event("click")));
    await page.waitForURL(new RegExp(session));
    await page.getByRole("button", { name: "Allow", exact: true }).click();
    await settled(session);
  });
});

describe("a queue", () => {
  it("takes prompts behind a run, and lets them be edited and taken out", async () => {
    here = await visit();
    const { page } = here;
    const session = await begin("write first.md: x");
    await page.goto(`${URL}/s/${session}`);
    await page.getByRole("button", { name: "Allow", exact: true }).waitFor();
    const field = page.getByRole("textbox", { name: "Queue a prompt behind this run" });
    for (const text of ["say: second", "say: third"]) {
      await field.fill(text);
      await field.press("Enter");
    }
    await page.getByText("2 prompts wait").waitFor();
    const queue = page.getByRole("region", { name: "Queue" });
    await queue.getByRole("button", { name: "Take out" }).first().click();
    await page.getByText("1 prompt waits").waitFor();
    await queue.getByRole("button", { name: "Edit prompt" }).click();
    await queue.getByRole("textbox").fill("say: changed");
    await queue.getByRole("button", { name: "Save" }).click();
    await queue.getByText("say: changed").waitFor();
    await page.getByRole("button", { name: "Allow", exact: true }).click();
    await settled(session);
    await page.getByText("changed", { exact: true }).waitFor();
    expect(await page.getByText("second", { exact: true }).count()).toBe(0);
  });

  it("stops the run that is live", async () => {
    here = await visit();
    const { page } = here;
    const session = await begin("sleep 60");
    await page.goto(`${URL}/s/${session}`);
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByText(/^Stopped/).waitFor();
    await page.getByRole("button", { name: "Run again" }).waitFor();
  });
});
