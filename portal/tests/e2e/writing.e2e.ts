import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { api, begin, events, sessionOf, settled, until, URL, visit, visits, type Visit } from "./visit";

let here: Visit;
visits(() => here);

const promptField = (page: Page) => page.getByRole("textbox", { name: "Write a prompt" });
const queued = async (session: string) => (await events(session)).filter((event) => event.type === "run.queued");

/** Drop a file as the desktop does: over the place first, then let go. */
async function drop(page: Page, selector: string, name: string): Promise<void> {
  const data = await page.evaluateHandle((file) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File(["dropped"], file, { type: "text/plain" }));
    return transfer;
  }, name);
  for (const type of ["dragover", "drop"]) await page.dispatchEvent(selector, type, { dataTransfer: data });
}

describe("files of a prompt", () => {
  it("are chosen and dropped before there is a session, go with the first prompt, and are opened from it", async () => {
    here = await visit();
    const { page } = here;
    await page.goto(URL);
    await page.getByRole("button", { name: "Attach files" }).waitFor();
    await page.locator('input[type="file"]').setInputFiles({ name: "chosen.txt", mimeType: "text/plain", buffer: Buffer.from("chosen by a person") });
    await drop(page, "form", "dropped.txt");
    const attached = page.getByRole("list", { name: "Files for the next prompt" });
    await attached.getByText("dropped.txt").waitFor();
    await page.getByRole("combobox", { name: "Agent" }).click();
    await page.getByRole("option", { name: "Demo agent" }).click();
    await promptField(page).fill("say: I have them");
    await promptField(page).press("Enter");
    await page.waitForURL(/\/s\//);
    await page.getByText("I have them", { exact: true }).waitFor();
    const session = sessionOf(page.url());
    await settled(session);
    const given = (await queued(session))[0]?.data.attachments as string[];
    expect(given.map((path) => path.replace(/^uploads\/[^/]+\//, "")).sort()).toEqual(["chosen.txt", "dropped.txt"]);
    await page.reload();
    await page.getByText(/Succeeded/).waitFor();
    expect(await page.getByText(/^Uploaded:/).count()).toBe(0);
    await page.getByRole("log").getByRole("link", { name: "chosen.txt" }).click();
    await page.getByRole("region", { name: "chosen.txt" }).getByText("chosen by a person").waitFor();
  });

  it("stay on the page with their prompt when one of them is refused", async () => {
    here = await visit();
    const { page } = here;
    await page.goto(URL);
    await page.getByRole("button", { name: "Attach files" }).waitFor();
    await page.locator('input[type="file"]').setInputFiles({ name: "large.bin", mimeType: "application/octet-stream", buffer: Buffer.from("x") });
    await page.route("**/uploads", (route) => route.fulfill({ status: 413, contentType: "application/problem+json", body: '{"code":"upload_too_large","detail":"An upload has at most 9 bytes."}' }), { times: 1 });
    await promptField(page).fill("say: keep me");
    await promptField(page).press("Enter");
    await page.getByText("An upload has at most 9 bytes.").waitFor();
    expect(await promptField(page).inputValue()).toBe("say: keep me");
    await promptField(page).press("Enter");
    await page.waitForURL(/\/s\//);
    await page.getByText("keep me", { exact: true }).waitFor();
    await settled(sessionOf(page.url()));
  });

  it("are dropped onto the chat and onto the files", async () => {
    here = await visit();
    const { page } = here;
    const session = await begin("say: ready", "auto");
    await settled(session);
    await page.goto(`${URL}/s/${session}`);
    await page.getByRole("button", { name: "Attach files" }).waitFor();
    await drop(page, "form", "here.txt");
    await page.getByRole("list", { name: "Files for the next prompt" }).getByText("here.txt").waitFor();
    await page.goto(`${URL}/s/${session}/files`);
    await page.getByRole("button", { name: "Upload files" }).waitFor();
    await drop(page, '[role="tree"]', "there.txt");
    await page.getByText("there.txt is uploaded").waitFor();
  });
});

describe("the model", () => {
  it("is chosen from those that the agent offers, and kept for the next prompt", async () => {
    here = await visit();
    const { page } = here;
    await page.goto(URL);
    await page.getByRole("combobox", { name: "Agent" }).click();
    await page.getByRole("option", { name: "Agent with models" }).click();
    await page.getByRole("combobox", { name: "Model" }).click();
    await page.getByRole("option", { name: "Large" }).click();
    await promptField(page).fill("say: with the large one");
    await promptField(page).press("Enter");
    await page.waitForURL(/\/s\//);
    await page.getByText("with the large one", { exact: true }).waitFor();
    await page.getByText(/Succeeded/).waitFor();
    await page.goto(`${URL}/usage?by=model`);
    await page.getByRole("row").filter({ hasText: "demo-large" }).waitFor();
    await page.goto(URL);
    await page.getByRole("combobox", { name: "Model" }).getByText("Large").waitFor();
  });
});

describe("a mention", () => {
  it("finds a file by its name or folder, with the keyboard, and stands in the prompt", async () => {
    here = await visit();
    const { page } = here;
    const session = await begin("run: mkdir -p src && echo one > src/app.py && echo two > 'my notes.md'", "auto");
    await settled(session);
    await page.goto(`${URL}/s/${session}`);
    const field = promptField(page);
    const list = page.getByRole("listbox", { name: "Files to mention" });
    await field.pressSequentially("read @ap");
    await list.getByRole("option", { name: /app\.py/ }).waitFor();
    await field.press("Enter");
    expect(await field.inputValue()).toBe("read @src/app.py ");
    await field.pressSequentially("and @");
    await list.getByRole("option", { name: "src" }).waitFor();
    await field.press("Escape");
    expect(await list.count()).toBe(0);
    await field.pressSequentially("my");
    await list.getByRole("option", { name: "my notes.md" }).click();
    expect(await field.inputValue()).toBe('read @src/app.py and @"my notes.md" ');
    await field.fill("say: @sr");
    await list.getByRole("option", { name: "src" }).waitFor();
    await field.press("Tab");
    await list.getByRole("option", { name: /app\.py/ }).waitFor();
    await field.press("Enter");
    expect(await field.inputValue()).toBe("say: @src/app.py ");
    await field.press("Enter");
    await page.getByRole("article").getByText("@src/app.py").waitFor();
    await settled(session);
    expect((await queued(session)).at(-1)?.data.prompt).toBe("say: @src/app.py");
  });
});

describe("prompts behind a run", () => {
  it("are moved, say why they wait, and one interrupts the run", async () => {
    here = await visit();
    const { page } = here;
    const session = await begin("sleep 120", "auto");
    await page.goto(`${URL}/s/${session}`);
    const field = page.getByRole("textbox", { name: "Queue a prompt behind this run" });
    for (const text of ["say: one", "say: two"]) {
      await field.fill(text);
      await field.press("Enter");
    }
    const queue = page.getByRole("region", { name: "Queue" });
    await queue.getByText("say: two").waitFor();
    await page.locator('input[type="file"]').setInputFiles({ name: "later.txt", mimeType: "text/plain", buffer: Buffer.from("read later") });
    await page.getByRole("list", { name: "Files for the next prompt" }).locator('[data-busy="false"]').getByText("later.txt").waitFor();
    await field.fill("say: with a file");
    await field.press("Enter");
    await queue.getByText("say: with a file").waitFor();
    await page.reload();
    await queue.getByRole("link", { name: "later.txt" }).waitFor();
    await queue.getByRole("listitem").filter({ hasText: "say: two" }).getByRole("button", { name: "Move up" }).click();
    await until(async () => (await queue.getByRole("listitem").first().textContent())?.includes("say: two") ?? false, "the second prompt moves up");
    await queue.getByRole("button", { name: "Why does it wait?" }).first().click();
    await page.getByRole("dialog").getByText("The session has 1 unfinished run before this run.").waitFor();
    await page.getByRole("dialog").getByText(/The run before it: (Running|Starting)/).waitFor();
    await page.keyboard.press("Escape");
    await field.fill("say: at once");
    await field.press("Control+Enter");
    await page.getByText("at once", { exact: true }).waitFor();
    await settled(session);
    const ends = (await events(session)).filter((event) => event.type === "run.finished").map((event) => event.data.status);
    expect(ends[0]).toBe("cancelled");
  });

  it("lets a run that failed be run again, in the mode that was chosen", async () => {
    here = await visit();
    const { page } = here;
    const session = await begin("say: ready", "auto");
    await settled(session);
    await page.goto(`${URL}/s/${session}`);
    await page.getByRole("combobox", { name: "Mode" }).click();
    await page.getByRole("option", { name: /Goes on/ }).click();
    await promptField(page).fill("write unasked.md: x\nerror: it broke");
    await promptField(page).press("Enter");
    await page.getByRole("button", { name: "Run again" }).click();
    await until(async () => (await queued(session)).length === 3, "the run starts again");
    await settled(session);
    expect((await events(session)).some((event) => event.type === "human_loop.requested")).toBe(false);
    const { items } = await api<{ items: { retryOf?: string }[] }>(`/api/runs?sessionId=${session}`);
    expect(items.filter((run) => run.retryOf)).toHaveLength(1);
  });
});
