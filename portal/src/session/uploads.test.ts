import { afterEach, describe, expect, it, vi } from "vitest";
import { attachAgain, kept, take, upload, useShelf } from "./uploads";

afterEach(() => {
  useShelf.setState({ of: {} });
  vi.unstubAllGlobals();
});

const one = (id: string, path: string | null, problem: string | null = null) => ({ id, name: id, path, problem });

describe("attached files", () => {
  it("go with one prompt; what was refused stays with its reason", () => {
    useShelf.setState({ of: { s: [one("a", "uploads/1/a"), one("b", null, "too large")] } });
    expect(take("s")).toEqual({ attachments: ["uploads/1/a"] });
    expect(take("s")).toEqual({});
    expect(useShelf.getState().of.s).toEqual([one("b", null, "too large")]);
  });

  it("come back when the prompt is refused, before those that were attached meanwhile", () => {
    useShelf.setState({ of: { s: [one("b", "uploads/2/b")] } });
    attachAgain("s", ["uploads/1/a.png"]);
    expect(take("s")).toEqual({ attachments: ["uploads/1/a.png", "uploads/2/b"] });
  });

  it("outlive the page only once the server has them", () => {
    expect(kept({ s: [one("a", "uploads/1/a"), one("b", null)], t: [one("c", null)] })).toEqual({ s: [one("a", "uploads/1/a")] });
  });
});

describe("upload", () => {
  it("sends the file as a form's part and passes the server's refusal on", async () => {
    const sent: { url: string; part: FormDataEntryValue | null }[] = [];
    vi.stubGlobal("fetch", (url: string, { body }: { body: FormData }) => {
      sent.push({ url, part: body.get("file") });
      return Promise.resolve(Response.json({ code: "upload_too_large", detail: "An upload has at most 9 bytes." }, { status: 413 }));
    });
    await expect(upload("s", new File(["x"], "a.txt"))).rejects.toMatchObject({ code: "upload_too_large", detail: "An upload has at most 9 bytes." });
    expect(sent[0]?.url).toBe("/api/sessions/s/uploads");
    expect((sent[0]?.part as File).name).toBe("a.txt");
  });
});
