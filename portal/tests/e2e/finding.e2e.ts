import { beforeAll, describe, expect, it } from "vitest";
import { api, begin, events, settled, until, URL, visit, visits, type Visit } from "./visit";

const READER = process.env.RUNYARD_READER_TOKEN ?? "";

let here: Visit;
let session: string;

beforeAll(async () => {
  session = await begin("Look around and write down what you find", "auto");
  await settled(session);
  await api(`/api/session-workers/${session}/sync`, {});
});
visits(() => here);

/** A row of the session list, by where it leads. */
const rowOf = (id: string) => here.page.getByRole("complementary").getByRole("listitem").filter({ has: here.page.locator(`a[href="/s/${id}"]`) });

async function choose(id: string, name: string): Promise<void> {
  await rowOf(id).getByRole("button", { name: /^Actions for/ }).click();
  await here.page.getByRole("menuitem", { name }).click();
}

describe("sessions", () => {
  it("are renamed, pinned, archived, found, and say what is new in them", async () => {
    here = await visit();
    const { page } = here;
    const id = await begin("say: for the list");
    await settled(id);
    await api(`/api/session-workers/${id}/sync`, {});
    await page.goto(URL);
    const list = page.getByRole("complementary");
    await rowOf(id).getByText("Saved to run 1", { exact: true }).waitFor({ state: "attached" });
    await choose(id, "Rename");
    const title = `Figures ${id.slice(0, 8)}`;
    await page.getByRole("textbox", { name: "Title" }).fill(title);
    await page.getByRole("button", { name: "Save" }).click();
    await list.getByRole("link", { name: new RegExp(title) }).waitFor();
    await choose(id, "Pin");
    await list.getByRole("region", { name: "Pinned" }).getByText(title).waitFor();
    await page.keyboard.press("Control+k");
    await page.getByPlaceholder("Search sessions, pages, actions").fill("for the list");
    await page.getByRole("option", { name: title }).click();
    await page.waitForURL(new RegExp(id));
    await page.getByText("for the list", { exact: true }).waitFor();
    await until(async () => !(await api<{ unread: number }>(`/api/sessions/${id}`)).unread, "what was seen is read");
    await page.goto(`${URL}/inbox`);
    await rowOf(id).waitFor();
    expect(await rowOf(id).textContent()).not.toContain("Unread");
    await begin("say: news", "ask", id);
    await rowOf(id).getByText("Unread").waitFor({ state: "attached" });
    await settled(id);
    await choose(id, "Archive");
    await until(async () => (await rowOf(id).count()) === 0, "an archived session leaves the list");
    await list.getByRole("button", { name: "Archived" }).click();
    await rowOf(id).waitFor();
  });

  it("say who else reads them", async () => {
    here = await visit();
    const { page } = here;
    await page.goto(`${URL}/s/${session}`);
    await page.getByText(/Succeeded/).waitFor();
    const socket = new WebSocket(`${URL.replace("http", "ws")}/api/ws`, { headers: { Authorization: `Bearer ${READER}` } } as never);
    await new Promise((resolve) => socket.addEventListener("open", resolve));
    socket.send(JSON.stringify({ kind: "subscribe", sessionId: session, after: 0 }));
    await page.getByRole("img", { name: "li reads this session, too" }).waitFor();
    socket.close();
    await until(async () => (await page.getByRole("img", { name: /reads this session/ }).count()) === 0, "the reader has left");
  });
});

describe("in the conversation", () => {
  it("a prompt and an answer are copied as they were written", async () => {
    here = await visit();
    const { page, context } = here;
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.goto(`${URL}/s/${session}`);
    const copied = () => page.evaluate(() => navigator.clipboard.readText());
    await page.getByRole("button", { name: "Copy prompt" }).first().click();
    await until(async () => (await copied()) === "Look around and write down what you find", "the prompt is copied");
    await page.getByRole("button", { name: "Copy answer" }).first().click();
    await until(async () => (await copied()).includes("I am the demo agent"), "the answer is copied");
  });

  it("a question says what happens at its deadline, and is passed over without an answer", async () => {
    here = await visit();
    const { page } = here;
    const id = await begin("ask: Which colour?");
    await page.goto(`${URL}/s/${id}`);
    const form = page.getByRole("group", { name: /Which colour/ });
    await form.getByText(/^parks in /).waitFor();
    await form.getByRole("button", { name: "Skip" }).click();
    await page.getByText("Cancelled:").waitFor();
    await settled(id);
    expect((await events(id)).find((event) => event.type === "human_loop.resolved")?.data.decision).toBe("cancel");
  });
});

describe("beside the conversation", () => {
  it("todos have their progress and how it came to be, by run", async () => {
    here = await visit();
    const { page } = here;
    await page.goto(`${URL}/s/${session}?panel=todos`);
    await page.getByRole("heading", { name: /3 of 3/ }).first().waitFor();
    await page.getByRole("button", { name: "History" }).first().click();
    await page.getByText("Begun: Look at the workspace").waitFor();
    await page.getByText("Done: Tell what was done").waitFor();
    const runs = page.getByRole("complementary", { name: "Todos" }).getByRole("heading", { level: 4 });
    expect(await runs.count()).toBe(1);
    await begin("Look around and write down what you find", "auto", session);
    await settled(session);
    await until(async () => (await runs.count()) === 2, "the history has the second run, too");
    await until(async () => (await page.getByText("Done: Tell what was done").count()) === 2, "the second run's todos are all there");
  });

  it("the timeline has lanes that lead to their event, as a picture and as a table, and says why", async () => {
    here = await visit();
    const { page } = here;
    await page.goto(`${URL}/s/${session}/timeline`);
    const chart = page.getByRole("application", { name: /Lanes of the run/ });
    await chart.focus();
    for (let at = 0; at < 2; at++) await page.keyboard.press("ArrowRight");
    expect(await page.locator('rect[data-selected="true"]').count()).toBe(1);
    await page.getByRole("region", { name: "Why?" }).getByText("The run has succeeded.").waitFor();
    await page.getByRole("row").filter({ hasText: "Tools" }).getByRole("button", { name: "Write notes.md" }).click();
    await page.waitForURL(/\?at=\d+/);
    await page.locator('[class*="marked"]').getByText("Write notes.md").waitFor();
  });
});

describe("rules", () => {
  it("are made from a question, with the pattern that is shown, and are ended", async () => {
    here = await visit();
    const { page } = here;
    const id = await begin("write ruled.md: one");
    await page.goto(`${URL}/s/${id}`);
    await page.getByRole("button", { name: "Always allow…" }).click();
    const pattern = page.getByRole("textbox", { name: "Pattern" });
    await pattern.waitFor();
    expect(await pattern.inputValue()).toBe("ruled.md");
    await pattern.fill("ruled-*.md");
    await page.getByRole("button", { name: "Make this rule and allow" }).click();
    await settled(id);
    await begin("write ruled-2.md: two", "ask", id);
    await settled(id);
    const asked = (await events(id)).filter((event) => event.type === "human_loop.resolved").map((event) => event.author.split(":")[0]);
    expect(asked.at(-1)).toBe("rule");
    await page.goto(`${URL}/ops/rules`);
    const rule = page.getByRole("row").filter({ hasText: "ruled-*.md" });
    await rule.getByRole("button", { name: "Retire" }).click();
    await until(async () => (await rule.getByRole("button").count()) === 0, "the rule is retired");
  });
});

describe("operations", () => {
  it("move a worker, and name what agents can and what of it was tried", async () => {
    here = await visit();
    const { page } = here;
    await page.goto(`${URL}/ops/workers`);
    const worker = page.getByRole("row").filter({ has: page.getByRole("link", { name: "Look around and write down what you find" }) }).filter({ has: page.locator(`a[href="/s/${session}"]`) });
    await page.getByRole("table").waitFor();
    await until(async () => (await worker.count()) > 0 || (await page.getByRole("button", { name: "Show more" }).click({ timeout: 1000 }).catch(() => null), false), "the worker is listed");
    await worker.getByText("Active").waitFor();
    await worker.getByText(/^(Stops|Saves) in \d+/).waitFor();
    await here.context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await worker.getByRole("button", { name: `Copy the session's id: ${session}` }).click();
    await until(async () => (await page.evaluate(() => navigator.clipboard.readText())) === session, "the id is copied");
    await worker.getByRole("button", { name: /^Actions for worker/ }).click();
    await page.getByRole("menuitem", { name: "Why?" }).click();
    await page.getByRole("dialog").getByText(/The worker is idle/).waitFor();
    await page.keyboard.press("Escape");
    await worker.getByRole("button", { name: /^Actions for worker/ }).click();
    await page.getByRole("menuitem", { name: "Save now" }).click();
    await page.getByText("Done", { exact: true }).waitFor();
    for (const [verb, status] of [["Stop when idle", "Stopped"], ["Start", "Active"], ["Remove", "None"]] as const) {
      await worker.getByRole("button", { name: /^Actions for worker/ }).click();
      await page.getByRole("menuitem", { name: verb, exact: true }).click();
      await worker.getByText(status, { exact: true }).waitFor();
    }
    await page.goto(`${URL}/ops/providers`);
    await page.getByRole("row", { name: /Demo agent/ }).getByText("Todos").waitFor();
  });

  it("show which runs wait and why", async () => {
    here = await visit();
    const { page } = here;
    const id = await begin("sleep 120", "auto");
    await begin("say: later", "auto", id);
    await page.goto(`${URL}/ops/queue`);
    const row = page.getByRole("row").filter({ has: page.locator(`a[href="/s/${id}"]`) });
    await row.getByRole("button", { name: "The session has 1 unfinished run before this run." }).click();
    await page.getByRole("dialog").getByText(/The run before it/).waitFor();
    await page.keyboard.press("Escape");
    const { live } = await api<{ live: { runId: string } }>(`/api/sessions/${id}/queue`);
    await api(`/api/runs/${live.runId}/stop`, {});
    await settled(id);
  });

  it("show who looked at which files, by path, action and outcome", async () => {
    here = await visit();
    const { page } = here;
    await api(`/api/files/content?sessionId=${session}&path=notes.md`);
    await page.goto(`${URL}/ops/audit`);
    await page.getByRole("searchbox", { name: "Search paths" }).fill("notes.md");
    await page.getByRole("combobox", { name: "Action" }).click();
    await page.getByRole("option", { name: "Read", exact: true }).click();
    const row = page.getByRole("row").filter({ has: page.locator(`a[href="/s/${session}/files"]`) }).first();
    await row.getByText("notes.md").waitFor();
    await row.getByText("Allowed").waitFor();
    expect(new globalThis.URL(page.url()).searchParams.get("action")).toBe("content");
  });
});

describe("usage", () => {
  it("is grouped as one asks, and says which cost is not known", async () => {
    here = await visit();
    const { page } = here;
    await page.goto(`${URL}/usage`);
    await page.getByRole("combobox", { name: "Group by" }).click();
    await page.getByRole("option", { name: "Agent" }).click();
    const row = page.getByRole("row").filter({ hasText: "demo" });
    await row.getByText(/runs? without a known cost/).waitFor();
    expect(new globalThis.URL(page.url()).searchParams.get("by")).toBe("provider");
  });
});

it.each([360, 1360])("agent, model and mode are whole beside each other, %i px", async (width) => {
  here = await visit({ width });
  const { page, context } = here;
  await context.addInitScript(() => void (localStorage["runyard.local"] = '{"state":{"agent":"choosy"},"version":1}'));
  await page.route("**/api/providers", async (route) => {
    // the server's own answer, but for longer names: those of real agents and models are
    const answer = await route.fetch();
    await route.fulfill({ response: answer, body: (await answer.text()).replace("Agent with models", "Agent with many models") });
  });
  await page.route("**/api/providers/choosy/options", async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, body: (await answer.text()).replace('"Small"', '"Small and quick 4.5 (2026-11)"') });
  });
  await page.goto(URL);
  const form = await page.locator("form").filter({ has: page.getByRole("textbox") }).boundingBox();
  for (const [name, words] of [["Agent", "Agent with many models"], ["Model", "Small and quick 4.5 (2026-11)"], ["Mode", "Asks first"]] as const) {
    const picker = page.getByRole("combobox", { name, exact: true });
    await picker.getByText(words, { exact: true }).waitFor();
    expect(await picker.evaluate((box) => [...box.children].every((part) => part.scrollWidth <= part.clientWidth + 1 || part.clientWidth === 0))).toBe(true);
    const box = await picker.boundingBox();
    expect((box?.x ?? 9999) + (box?.width ?? 9999)).toBeLessThanOrEqual((form?.x ?? 0) + (form?.width ?? 0));
  }
});

describe("a small screen", () => {
  it("shows the names of agent and mode, and a long queued prompt with its buttons", async () => {
    here = await visit({ width: 360 });
    const { page } = here;
    const id = await begin("write small.md: x");
    await begin(`say: ${"a long prompt that waits ".repeat(8)}`, "ask", id);
    await page.goto(`${URL}/s/${id}`);
    for (const name of ["Agent", "Mode"]) {
      const picker = page.getByRole("combobox", { name });
      await picker.waitFor();
      expect(await picker.evaluate((box) => [...box.children].every((part) => part.scrollWidth <= part.clientWidth + 1 || part.clientWidth === 0))).toBe(true);
    }
    await page.goto(`${URL}/s/${id}?panel=queue`);
    for (const button of ["Why does it wait?", "Edit prompt", "Take out"]) {
      const box = await page.getByRole("button", { name: button }).boundingBox();
      expect((box?.x ?? 9999) + (box?.width ?? 9999)).toBeLessThanOrEqual(360);
    }
    const { live } = await api<{ live: { runId: string } }>(`/api/sessions/${id}/queue`);
    await api(`/api/runs/${live.runId}/stop`, {});
  });
});

describe("a small screen in Chinese", () => {
  it("keeps the session's menu in sight while a run lasts long", async () => {
    here = await visit({ language: "zh", width: 360 });
    const { page } = here;
    const id = await begin("write long.md: x");
    await page.clock.setFixedTime(Date.now() + 34 * 60_000 + 14_000);
    await page.goto(`${URL}/s/${id}`);
    await page.locator("header").getByText(/^3\d分钟$/).waitFor();
    const box = await page.getByRole("button", { name: "更多" }).first().boundingBox();
    expect((box?.x ?? 9999) + (box?.width ?? 9999)).toBeLessThanOrEqual(360);
    const { live } = await api<{ live: { runId: string } }>(`/api/sessions/${id}/queue`);
    await api(`/api/runs/${live.runId}/stop`, {});
  });

  it("keeps the field and the tabs in sight below a question and a queue, and explains in Chinese", async () => {
    here = await visit({ language: "zh", width: 360 });
    const { page } = here;
    const id = await begin("write phone.md: x");
    await begin("say: later", "ask", id);
    await page.goto(`${URL}/s/${id}`);
    await page.getByRole("button", { name: "允许", exact: true }).waitFor();
    await page.getByRole("button", { name: "为什么在等？" }).waitFor();
    for (const place of [page.getByRole("textbox"), page.getByRole("navigation").getByRole("button", { name: /文件/ }), page.getByRole("button", { name: "允许", exact: true })]) {
      const box = await place.boundingBox();
      expect((box?.y ?? 0) + (box?.height ?? 9999)).toBeLessThanOrEqual(740);
    }
    await page.getByRole("button", { name: "为什么在等？" }).click();
    await page.getByText("会话中前面还有 1 次未结束的运行。").waitFor();
    await page.keyboard.press("Escape");
    await page.goto(`${URL}/s/00000000-0000-4000-8000-000000000000`);
    await page.getByRole("alert").getByText("没有这个会话。").waitFor();
    await page.goto(`${URL}/settings`);
    await page.getByRole("combobox", { name: "语言" }).click();
    await page.getByRole("option", { name: "English" }).click();
    await page.getByRole("heading", { name: "Settings" }).waitFor();
  });
});

describe("the keyboard alone", () => {
  it("starts a session, allows, opens the panels and goes to the inbox and back", async () => {
    here = await visit();
    const { page } = here;
    await page.goto(`${URL}/usage`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await page.keyboard.press("n");
    const field = page.getByRole("textbox", { name: "Write a prompt" });
    await until(() => field.evaluate((element) => element === document.activeElement), "the field has the cursor");
    await page.keyboard.type("write keys.md: by keys");
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/s\//);
    await page.getByRole("button", { name: "Allow", exact: true }).waitFor();
    await page.keyboard.press("Alt+2");
    await page.waitForURL(/panel=files/);
    await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
    await page.locator("button[aria-keyshortcuts=a]").waitFor();
    await page.keyboard.press("a");
    await page.getByText("Allowed by you:").waitFor();
    const inbox = page.getByRole("heading", { name: "Inbox" });
    await until(async () => {
      // the second key counts only soon after the first, and a busy machine may hold it up
      for (const key of ["g", "i"]) await page.keyboard.press(key);
      return (await inbox.count()) > 0;
    }, "the inbox opens");
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("]");
    await page.waitForURL(/\/s\//);
  });
});
