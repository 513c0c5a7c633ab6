import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { api, begin, settled, until, URL, visit, visits, type Visit } from "./visit";

const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
/** One empty page. */
const PDF = "JVBERi0xLjQKMSAwIG9iajw8L1R5cGUvQ2F0YWxvZy9QYWdlcyAyIDAgUj4+ZW5kb2JqCjIgMCBvYmo8PC9UeXBlL1BhZ2VzL0tpZHNbMyAwIFJdL0NvdW50IDE+PmVuZG9iagozIDAgb2JqPDwvVHlwZS9QYWdlL1BhcmVudCAyIDAgUi9NZWRpYUJveFswIDAgOSA5XT4+ZW5kb2JqCnRyYWlsZXI8PC9Sb290IDEgMCBSPj4K";
const FIRST = [
  "write notes.md: # Notes of run one",
  "run: mkdir -p src/deep && printf 'def one():\\n    return 1\\n' > src/app.py && printf 'x\\n' > src/deep/hidden.txt",
  `run: printf 'name,count\\n"a, b",2\\n' > table.csv && printf ${PNG} | base64 -d > dot.png && head -c 900 /dev/zero > zeros.bin && seq 90000 > long.txt && printf ${PDF} | base64 -d > paper.pdf && printf '<script>document.title=1</script>' > page.pdf && ln -s notes.md alias`,
].join("\n");
const SECOND = "write notes.md: # Notes of run two\nrun: printf 'def one():\\n    return 2\\n' > src/app.py && rm src/deep/hidden.txt";

let here: Visit;
let session: string;
let files: string;

beforeAll(async () => {
  session = await begin(FIRST, "auto");
  await settled(session);
  await api(`/api/session-workers/${session}/sync`, {});
  await begin(SECOND, "auto", session);
  await settled(session);
  await api(`/api/session-workers/${session}/sync`, {});
  files = `${URL}/s/${session}/files`;
});
visits(() => here);

const row = (name: string) => here.page.getByRole("treeitem").filter({ has: here.page.getByText(name, { exact: true }) });

describe("files of a worker at work", () => {
  it("are shown live, take an upload, and say up to where they are saved", async () => {
    here = await visit();
    const { page } = here;
    await page.goto(files);
    await page.getByText("Live from the worker").waitFor();
    await page.getByRole("button", { name: "Saved to run 2", exact: true }).waitFor();
    await page.locator('input[type="file"]').setInputFiles({ name: "given.txt", mimeType: "text/plain", buffer: Buffer.from("from a person") });
    await page.getByText("given.txt is uploaded").waitFor();
    await page.getByRole("searchbox").fill("given");
    await page.getByRole("button", { name: /given.txt/ }).click();
    await page.getByText("from a person").waitFor();
  });

  it("go with a prompt, and stay with their reason when they are refused", async () => {
    here = await visit();
    const { page } = here;
    await page.goto(`${URL}/s/${session}`);
    const field = page.getByRole("textbox", { name: "Write a prompt" });
    await page.getByRole("button", { name: "Attach files" }).waitFor();
    const paste = (name: string) =>
      field.evaluate((element, file) => {
        const data = new DataTransfer();
        data.items.add(new File(["pixels"], file, { type: "image/png" }));
        element.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
      }, name);
    await page.route("**/uploads", (route) => route.fulfill({ status: 413, contentType: "application/problem+json", body: '{"code":"upload_too_large","detail":"An upload has at most 9 bytes."}' }), { times: 1 });
    await paste("refused.png");
    const attached = page.getByRole("list", { name: "Files for the next prompt" });
    await attached.getByText("An upload has at most 9 bytes.").waitFor();
    await page.getByRole("button", { name: "Upload refused.png again" }).click();
    await until(async () => (await attached.getByRole("alert").or(attached.getByText("Uploading…")).count()) === 0, "the second try is taken");
    await page.reload();
    await attached.getByText("refused.png").waitFor();
    await field.fill("say: with a picture");
    await field.press("Enter");
    await page.getByText("with a picture", { exact: true }).waitFor();
    await settled(session);
    expect(await attached.count()).toBe(0);
    const { items } = await api<{ items: { type: string; data: { attachments?: string[] } }[] }>(`/api/sessions/${session}/events?after=0&limit=1000`);
    expect(items.filter((event) => event.type === "run.queued").at(-1)?.data.attachments?.[0]).toMatch(/^uploads\/.*\/refused\.png$/);
  });
});

describe("files of a session without its worker", () => {
  beforeAll(async () => {
    await api(`/api/session-workers/${session}`, undefined, "DELETE");
    await until(async () => (await api<{ state?: string }>(`/api/files/tree?sessionId=${session}`)).state === "saved", "the worker is gone");
  });

  it("are previewed by their kind, with the keyboard alone", async () => {
    here = await visit();
    const { page } = here;
    await page.goto(files);
    await page.getByText(/As saved: Run/).waitFor();
    await row("src").waitFor();
    await page.getByRole("tree").focus();
    for (const key of ["Home", "ArrowRight"]) await page.keyboard.press(key);
    await row("app.py").waitFor();
    for (const key of ["ArrowDown", "ArrowDown", "Enter"]) await page.keyboard.press(key);
    await page.waitForURL(/files\/src\/app\.py$/);
    await page.getByRole("region", { name: "app.py" }).getByText("return 2").first().waitFor();
    await row("table.csv").click();
    await page.getByRole("cell", { name: "a, b" }).waitFor();
    await row("notes.md").click();
    await page.getByRole("heading", { name: "Notes of run two", exact: true }).waitFor();
    await row("dot.png").click();
    await page.getByText("1 × 1").waitFor();
    await row("zeros.bin").click();
    await page.getByText("Binary", { exact: true }).waitFor();
    await row("paper.pdf").click();
    await page.getByText("A PDF opens in a tab of its own").waitFor();
    await row("alias").click();
    await page.getByText("A link to notes.md").waitFor();
    await row("long.txt").click();
    await page.getByText(/Only the beginning is shown/).waitFor();
  });

  it("that are PDFs open in the browser's own viewer, apart from the portal; a page with such a name does not", async () => {
    here = await visit();
    const { page, context } = here;
    await page.goto(`${files}/paper.pdf`);
    const link = page.getByRole("link", { name: "Open in the browser" });
    const [tab] = await Promise.all([context.waitForEvent("page"), link.click()]);
    // the viewer is an extension of Chromium that counts the pages once it has read the file
    const viewer = () => tab.frames().find((frame) => frame.url().startsWith("chrome-extension:"));
    await until(async () => (await viewer()?.locator("#pagelength").textContent()) === "1", "the viewer shows one page");
    expect(await tab.evaluate(() => [document.contentType, document.referrer, window.opener])).toEqual(["application/pdf", "", null]);
    const address = (await link.getAttribute("href")) ?? "";
    expect(address).toContain("path=paper.pdf");
    const asked = tab.waitForEvent("download");
    await tab.goto(URL + address.replace("paper.pdf", "page.pdf")).catch(() => null); // a navigation that becomes a download fails
    expect((await asked).suggestedFilename()).toBe("page.pdf");
  });

  it("are found by name and downloaded, one or a folder of them", async () => {
    here = await visit();
    const { page } = here;
    await page.goto(files);
    await page.getByRole("searchbox").fill("APP");
    await page.getByRole("main").getByRole("button", { name: /app\.py/ }).click();
    await page.getByRole("searchbox").fill("return 2");
    await page.getByRole("button", { name: "In text" }).click();
    await page.getByText("2: return 2").waitFor();
    const asked = page.waitForEvent("download");
    await page.getByRole("link", { name: "Download app.py" }).click();
    const download = await asked;
    expect(download.suggestedFilename()).toBe("app.py");
    expect(readFileSync(await download.path(), "utf8")).toBe("def one():\n    return 2\n");
    await page.getByRole("searchbox").fill("");
    await row("src").click();
    const zipped = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download folder src as a zip" }).click();
    expect((await zipped).suggestedFilename()).toBe("src.zip");
  });

  it("are compared between two runs, and an old state is put back and taken back", async () => {
    here = await visit();
    const { page } = here;
    const { items } = await api<{ items: { runId: string; prompt: string }[] }>(`/api/sessions/${session}/runs`);
    const [first, second] = [FIRST, SECOND].map((prompt) => items.find((run) => run.prompt === prompt)?.runId);
    await page.goto(`${files}?diff=${first}..${second}`);
    await page.getByText("Removed", { exact: true }).waitFor({ state: "attached" });
    await page.getByRole("main").getByRole("button", { name: /app\.py/ }).click();
    const patch = page.getByRole("region", { name: "app.py" });
    await patch.getByRole("cell", { name: "return 1" }).waitFor();
    await patch.getByRole("cell", { name: "return 2" }).waitFor();
    await page.goto(`${files}/notes.md?run=${first}`);
    await page.getByRole("heading", { name: "Notes of run one", exact: true }).waitFor();
    await page.getByRole("button", { name: "Put back" }).click();
    await page.getByText(/Put back: 1 file changed/).waitFor();
    const content = () => api<{ text: string }>(`/api/files/content?sessionId=${session}&path=notes.md`).then((answer) => answer.text);
    await until(async () => (await content()).includes("run one"), "the old text is back");
    await page.getByRole("button", { name: "Undo" }).click();
    await until(async () => (await content()).includes("run two"), "the newer text is back");
  });

  it("say that a run's own end was not kept, of one state and of a comparison", async () => {
    here = await visit();
    const { page } = here;
    const { items } = await api<{ items: { runId: string; prompt: string }[] }>(`/api/sessions/${session}/runs`);
    const [first, second] = [FIRST, SECOND].map((prompt) => items.find((run) => run.prompt === prompt)?.runId);
    const inexact = /The end of (this|a compared) run was not kept/;
    await page.goto(`${files}?run=${first}`);
    await page.getByText(/As saved: Run/).waitFor();
    expect(await page.getByText(inexact).count()).toBe(0);
    // the server's own answers, but for the one field: a lost end takes gigabytes to make
    await page.route(/\/api\/files\/(tree|diff)\?/, async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, json: { ...((await answer.json()) as object), exact: false } });
    });
    await page.reload();
    await page.getByText("The end of this run was not kept.").waitFor();
    await page.goto(`${files}?diff=${first}..${second}`);
    await page.getByText("The end of a compared run was not kept.").waitFor();
    await page.unrouteAll({ behavior: "wait" });
  });

  it("say when a state lacks a file, and when a session is not there", async () => {
    here = await visit();
    const { page } = here;
    const { items } = await api<{ items: { runId: string }[] }>(`/api/sessions/${session}/runs`);
    await page.goto(`${files}/src/deep/hidden.txt`);
    await page.getByText("This state has no such file").waitFor();
    await page.goto(`${files}/src/deep/hidden.txt?run=${items.at(-1)?.runId}`);
    await page.getByRole("region", { name: "hidden.txt" }).getByText("x", { exact: true }).waitFor();
    await page.goto(`${URL}/s/00000000-0000-4000-8000-000000000000/files`);
    await page.getByRole("alert").waitFor();
    const empty = await api<{ sessionId: string }>("/api/sessions", { title: "Empty" });
    await page.goto(`${URL}/s/${empty.sessionId}/files`);
    await page.getByText("Nothing is saved yet").waitFor();
  });
});
