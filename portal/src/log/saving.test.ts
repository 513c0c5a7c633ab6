import { describe, expect, it } from "vitest";
import type { Envelope } from "./events";
import { EMPTY, reduce } from "./reduce";
import { savingOf } from "./saving";

const RUN = "11111111-1111-4111-8111-111111111111";
const event = (seq: number, type: string, data: Record<string, unknown> = {}): Envelope =>
  ({ seq, type, data, runId: RUN, author: "agent", at: "2026-01-01T09:00:00Z", attempt: 1 }) as unknown as Envelope;
const FIRST_RUN = [event(1, "run.queued", { prompt: "go", provider: "demo" }), event(2, "run.started"), event(3, "message.stop", { messageId: "m" })];
const ENDED = [...FIRST_RUN, event(4, "run.finished", { status: "succeeded" })];
const SAVED = [...ENDED, event(5, "workspace.synced", { runId: RUN, runNumber: 1, snapshotId: "s" })];

const told = (lastSeq: number, isSaved: boolean, savedUpToRunNumber?: number) => ({ lastSeq, live: null, saved: { isSaved, ...(savedUpToRunNumber && { savedUpToRunNumber }) } });
const live = (lastSeq: number, isSaved: boolean, number?: number) => ({ ...told(lastSeq, isSaved, number), live: { runId: RUN, provider: "demo", status: "running" as const } });
const worker = (status: string, failures = 0) => ({ status, sync: { failures } });
const log = (events: Envelope[]) => reduce(EMPTY, events);

describe("how a session is saved", () => {
  it("is not known before the session was read", () => expect(savingOf({ session: undefined, log: log(SAVED) }).state).toBe("unknown"));

  it("is nothing to save before the first run", () => expect(savingOf({ session: told(0, true), log: EMPTY })).toEqual({ state: "nothing", run: null }));

  it("is not saved while the first run is at work, whoever of log and server says so", () => {
    expect(savingOf({ session: told(0, true), log: log(FIRST_RUN) })).toEqual({ state: "unsaved", run: null });
    expect(savingOf({ session: live(3, true) })).toEqual({ state: "unsaved", run: null });
    expect(savingOf({ session: live(3, false, 1), log: log(FIRST_RUN) })).toEqual({ state: "unsaved", run: 1 });
  });

  it("is not saved after a run's end by what the server said before that end", () => {
    expect(savingOf({ session: told(3, true), log: log(ENDED) }).state).toBe("unsaved");
    expect(savingOf({ session: told(0, true), log: log(SAVED) })).toEqual({ state: "unsaved", run: 1 });
  });

  it("is saving while the log says so", () => {
    const state = log([...ENDED, event(5, "workspace.syncing", { reason: "run" })]);
    expect(savingOf({ session: told(5, false), log: state })).toEqual({ state: "saving", run: null });
  });

  it("is saved to the run once the server has looked after its end", () => {
    expect(savingOf({ session: told(5, true, 1), log: log(SAVED) })).toEqual({ state: "saved", run: 1 });
    expect(savingOf({ session: told(5, true, 1) })).toEqual({ state: "saved", run: 1 });
    expect(savingOf({ session: told(6, true), worker: { status: "active", sync: { failures: 0, headSnapshot: "s" } } })).toEqual({ state: "saved", run: null });
  });

  it("is not all saved while the next run is at work or a file was uploaded since", () => {
    expect(savingOf({ session: live(9, true, 1) })).toEqual({ state: "unsaved", run: 1 });
    const uploaded = log([...SAVED, event(6, "workspace.uploaded", { path: "a" })]);
    expect(savingOf({ session: told(5, true, 1), log: uploaded })).toEqual({ state: "unsaved", run: 1 });
  });

  it("has failed until a later save, of which the log or the worker's report may not tell", () => {
    const failed = log([...SAVED, event(6, "workspace.sync_failed", { reason: "the store is away" })]);
    expect(savingOf({ session: told(6, false, 1), log: failed })).toEqual({ state: "failed", run: 1 });
    expect(savingOf({ session: told(6, false), worker: worker("active", 2) })).toEqual({ state: "failed", run: null });
    expect(savingOf({ session: told(6, true, 1), log: failed, worker: worker("active", 2) })).toEqual({ state: "saved", run: 1 });
  });

  it("says that the worker is lost, whatever was saved", () => {
    expect(savingOf({ session: told(5, false, 1), worker: worker("lost") })).toEqual({ state: "lost", run: 1 });
    expect(savingOf({ session: told(5, true, 1), worker: worker("lost") })).toEqual({ state: "lost", run: 1 });
  });
});
