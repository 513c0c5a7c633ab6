// @vitest-environment happy-dom
/** What is drawn for a word that streams in: the whole portal, with each drawing of a component counted as React tells it to
 * its developer tools. */
import { QueryClientProvider } from "@tanstack/react-query";
import { act, createElement } from "react";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import type { Envelope } from "../log/events";

interface Fiber {
  tag: number;
  flags: number;
  type: { name?: string; displayName?: string; type?: { name?: string } } | string | null;
  alternate: Fiber | null;
  child: Fiber | null;
  sibling: Fiber | null;
  return: Fiber | null;
  memoizedProps: Record<string, unknown> | null;
}

/** A component that was drawn, and the row of the conversation that it is of. */
interface Drawn {
  name: string;
  row: unknown;
}

const SESSION = "11111111-1111-4111-8111-111111111111";
const RUN = "22222222-2222-4222-8222-222222222222";
/** React's flag of a component whose function ran, and its tags of components: function, forwardRef, memo, simple memo. */
const PERFORMED_WORK = 1;
const COMPONENTS = new Set([0, 11, 14, 15]);

const page = vi.hoisted(() => {
  const seen = { frames: [] as (() => void)[], commits: 0, drawn: [] as Drawn[], count: null as ((root: unknown) => void) | null };
  Object.assign(globalThis, {
    IS_REACT_ACT_ENVIRONMENT: true,
    __REACT_DEVTOOLS_GLOBAL_HOOK__: {
      supportsFiber: true,
      isDisabled: false,
      checkDCE: () => undefined,
      inject: () => 1,
      onCommitFiberRoot: (_id: number, root: unknown) => seen.count?.(root),
      onCommitFiberUnmount: () => undefined,
      onPostCommitFiberRoot: () => undefined,
    },
    requestAnimationFrame: (work: () => void) => seen.frames.push(work),
    cancelAnimationFrame: () => undefined,
    WebSocket: class extends EventTarget {
      close(): void {}
      send(): void {}
    },
    // a list needs the sizes that no layout gives here
    ResizeObserver: class {
      readonly #tell: ResizeObserverCallback;
      constructor(tell: ResizeObserverCallback) {
        this.#tell = tell;
      }
      observe(target: Element): void {
        const contentRect = { width: 800, height: target.getAttribute("role") === "log" ? 600 : 40 };
        queueMicrotask(() => this.#tell([{ target, contentRect } as unknown as ResizeObserverEntry], this as unknown as ResizeObserver));
      }
      unobserve(): void {}
      disconnect(): void {}
    },
  });
  return seen;
});

page.count = (root) => {
  page.commits += 1;
  walk((root as { current: Fiber }).current);
};

/** As React's own tools find what was drawn: a part of the tree that was left alone still has its old children. */
function walk(fiber: Fiber): void {
  const before = fiber.alternate;
  if (COMPONENTS.has(fiber.tag) && (before === null || (fiber.flags & PERFORMED_WORK) !== 0)) page.drawn.push({ name: nameOf(fiber), row: rowOf(fiber) });
  if (before !== null && fiber.child === before.child) return;
  for (let child = fiber.child; child; child = child.sibling) walk(child);
}

function nameOf({ type }: Fiber): string {
  if (type === null || typeof type === "string") return String(type);
  return type.displayName ?? type.name ?? type.type?.name ?? "?";
}

function rowOf(fiber: Fiber): unknown {
  for (let at: Fiber | null = fiber; at; at = at.return) if (at.memoizedProps?.["data-row"] !== undefined) return at.memoizedProps["data-row"];
  return null;
}

const event = (seq: number, type: string, data: Record<string, unknown> = {}): Envelope =>
  ({ seq, type, data, runId: RUN, author: "agent", at: "2026-01-01T09:00:00Z", attempt: 1 }) as unknown as Envelope;
const said = (seq: number, text: string): Envelope => event(seq, "message.delta", { messageId: "m", role: "assistant", text });

const ANSWERS: Record<string, unknown> = {
  [`/api/sessions/${SESSION}/transcript`]: { items: [], seq: 0, users: {}, prevCursor: null },
  [`/api/sessions/${SESSION}/queue`]: { items: [], live: null },
  [`/api/sessions/${SESSION}/todos`]: { groups: [] },
  [`/api/sessions/${SESSION}/events`]: { items: [] },
};

let unmount = (): void => undefined;
let take: (...events: Envelope[]) => Drawn[];
/** Wait until all that was asked for has come and is drawn. */
let settled: () => Promise<void>;

beforeAll(async () => {
  vi.stubGlobal("fetch", (address: string) => {
    const answer = ANSWERS[address.split("?")[0] ?? ""];
    return Promise.resolve(answer ? Response.json(answer) : Response.json({ code: "unknown_path", detail: "Not here." }, { status: 404 }));
  });
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] }); // clocks on the page would tick in between
  history.pushState(null, "", `/s/${SESSION}`);
  const [{ createRoot }, { Portal }, { queries }, { feedOf }, { beginWords }] = await Promise.all([import("react-dom/client"), import("../routes"), import("../api/queries"), import("../live"), import("../words/words")]);
  await beginWords("en");
  const root = createRoot(document.body.appendChild(document.createElement("div")));
  const feed = feedOf(SESSION);
  settled = () =>
    vi.waitFor(
      async () => {
        page.commits = 0;
        await act(async () => {
          await vi.dynamicImportSettled();
          await new Promise((resolve) => setTimeout(resolve));
        });
        expect([feed.isLoaded, queries.isFetching(), page.commits]).toEqual([true, 0, 0]);
      },
      { timeout: 60_000 },
    );
  take = (...events) => {
    page.drawn = [];
    act(() => {
      events.forEach((one) => feed.take(one));
      page.frames.splice(0).forEach((frame) => frame());
    });
    return page.drawn;
  };
  await act(() => root.render(createElement(QueryClientProvider, { client: queries }, createElement(Portal))));
  unmount = () => act(() => root.unmount());
  await settled();
}, 120_000);

afterAll(() => {
  unmount();
  vi.useRealTimers();
});

const names = (drawn: readonly Drawn[]): string[] => drawn.map((one) => one.name);
const rowWith = (text: string): unknown => [...document.querySelectorAll("[data-row]")].find((row) => row.textContent?.includes(text))?.getAttribute("data-row");

it("draws its own row and nothing else of the page", async () => {
  const first = take(
    event(1, "run.queued", { prompt: "go", provider: "demo" }),
    event(2, "run.started"),
    event(3, "tool.call", { toolCallId: "c", title: "Edit a.md", kind: "edit", status: "completed" }),
    said(4, "One "),
  );
  expect(names(first)).toEqual(expect.arrayContaining(["Header", "Conversation", "Prompt", "ToolCall", "Answer", "Now", "Composer"]));
  await settled();
  const drawn = take(said(5, "two "), said(6, "three"));
  const row = rowWith("One two three");
  expect(row).toBeTruthy();
  expect(drawn.filter((one) => one.row !== row)).toEqual([]);
  expect(names(drawn).filter((name) => name === "Answer")).toHaveLength(1);
}, 120_000);

it("draws the last blocks of a long answer, not those above them", async () => {
  take(said(7, "\n\nsecond\n\nthird\n\nfourth\n\nfifth\n\nsixth\n\nseventh"));
  await settled();
  const blocks = names(take(said(8, " block"))).filter((name) => name === "Block");
  expect(rowWith("seventh block")).toBe(rowWith("One two three"));
  expect(blocks.length).toBeGreaterThan(0);
  expect(blocks.length).toBeLessThanOrEqual(3);
}, 120_000);
