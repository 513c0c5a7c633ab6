/**
 * The only place where events become state. Pure: no React, no clock, no network.
 *
 * `reduce(state, events)` gives the same whatever way a log is cut into calls, and passes over what it has seen (`seq`).
 */
import type { Envelope, Item, RunState, SessionState, TextItem, TodoGroup } from "./events";
import { FOLDS } from "./folds";

/** After these the workspace may hold what no snapshot has; a run at work changes it at any moment. */
export const CHANGES_FILES: ReadonlySet<string> = new Set(["run.started", "run.retrying", "run.finished", "workspace.uploaded", "workspace.put_back"]);

export const EMPTY: SessionState = {
  seq: 0,
  items: new Map(),
  order: [],
  rowsSeq: 0,
  runs: new Map(),
  todos: new Map(),
  queue: [],
  usage: null,
  saved: null,
  changedSeq: 0,
  worker: null,
  liveRunId: null,
};

/** A state under work: its collections are its own until the batch ends. */
export class Draft {
  seq: number;
  rowsSeq: number;
  usage;
  saved;
  changedSeq;
  worker;
  liveRunId;
  readonly items: Map<string, Item>;
  readonly order: string[];
  readonly runs: Map<string, RunState>;
  readonly todos: Map<string, TodoGroup>;
  queue: string[];

  constructor(from: SessionState) {
    this.seq = from.seq;
    this.rowsSeq = from.rowsSeq;
    this.usage = from.usage;
    this.saved = from.saved;
    this.changedSeq = from.changedSeq;
    this.worker = from.worker;
    this.liveRunId = from.liveRunId;
    this.items = new Map(from.items);
    this.order = [...from.order];
    this.runs = new Map(from.runs);
    this.todos = new Map(from.todos);
    this.queue = [...from.queue];
  }

  /** Put an item where it belongs: a known one keeps its place, a new one goes to the end. */
  put(item: Item): void {
    if (!this.items.has(item.id)) this.order.push(item.id);
    this.items.set(item.id, item);
    this.rowsSeq = this.seq;
  }

  /** Put a text that has grown: a row that is shown stays the same row, and reads its text itself. */
  grow(item: TextItem, text: string): void {
    const grown = { ...item, text: item.text + text, lastSeq: this.seq };
    if (item.text.trim() === "") this.put(grown);
    else this.items.set(item.id, grown);
  }

  run(runId: string | null | undefined): RunState | undefined {
    return runId ? this.runs.get(runId) : undefined;
  }

  changeRun(runId: string | null | undefined, change: Partial<RunState>): void {
    const run = this.run(runId);
    if (run) this.runs.set(run.runId, { ...run, ...change });
  }
}

export function reduce(state: SessionState, events: readonly Envelope[]): SessionState {
  const fresh = events.filter((event) => event.seq > state.seq);
  if (fresh.length === 0) return state;
  const draft = new Draft(state);
  for (const event of fresh) {
    if (event.seq <= draft.seq) continue;
    draft.seq = event.seq;
    if (CHANGES_FILES.has(event.type)) draft.changedSeq = event.seq;
    (FOLDS[event.type] ?? FOLDS.unknown)?.(draft, event);
  }
  return settled(draft, state);
}

/** Collections that did not change keep their identity, so that what watches them need not look. */
function settled(draft: Draft, before: SessionState): SessionState {
  return {
    seq: draft.seq,
    items: draft.items,
    rowsSeq: draft.rowsSeq,
    order: draft.order.length === before.order.length ? before.order : draft.order,
    runs: same(before.runs, draft.runs),
    todos: same(before.todos, draft.todos),
    queue: before.queue.join() === draft.queue.join() ? before.queue : draft.queue,
    usage: draft.usage,
    saved: draft.saved,
    changedSeq: draft.changedSeq,
    worker: draft.worker,
    liveRunId: draft.liveRunId,
  };
}

function same<V>(before: ReadonlyMap<string, V>, after: ReadonlyMap<string, V>): ReadonlyMap<string, V> {
  if (before.size !== after.size) return after;
  for (const [key, value] of after) if (before.get(key) !== value) return after;
  return before;
}
