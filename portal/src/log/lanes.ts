/** A run as lanes over time, from its log alone. Pure. */
import type { Envelope } from "./events";

export const LANES = ["queue", "worker", "restore", "model", "tools", "you", "saving"] as const;
export type Lane = (typeof LANES)[number];

/** Times are milliseconds since 1970. */
export interface Span {
  id: string;
  lane: Lane;
  title: string;
  from: number;
  to: number;
  seq: number;
  isOpen: boolean;
  isFailed: boolean;
  /** The call itself, or the call that a question is about. */
  toolCallId?: string;
}

export interface Mark {
  at: number;
  seq: number;
  type: string;
  data: Record<string, unknown>;
}

export interface Attempt {
  number: number;
  from: number;
}

export interface Lanes {
  spans: Span[];
  marks: Mark[];
  attempts: Attempt[];
  from: number;
  to: number;
}

const MARKS = new Set(["run.warning", "run.retrying", "run.parked", "workspace.sync_failed"]);

class Builder {
  readonly spans: Span[] = [];
  readonly #open = new Map<string, Span>();

  begin(key: string, lane: Lane, title: string, event: Envelope, toolCallId = ""): void {
    if (this.#open.has(key)) return;
    const at = Date.parse(event.at);
    const span = { id: `${key}@${event.seq}`, lane, title, from: at, to: at, seq: event.seq, isOpen: true, isFailed: false, ...(toolCallId && { toolCallId }) };
    this.#open.set(key, span);
    this.spans.push(span);
  }

  end(key: string, event: Envelope, isFailed = false): void {
    const span = this.#open.get(key);
    if (!span) return;
    this.#open.delete(key);
    Object.assign(span, { to: Date.parse(event.at), isOpen: false, isFailed });
  }

  endAll(event: Envelope): void {
    for (const key of [...this.#open.keys()]) this.end(key, event);
  }

  whole(lane: Lane, title: string, event: Envelope, ms: number): void {
    const to = Date.parse(event.at);
    this.spans.push({ id: `${lane}@${event.seq}`, lane, title, from: to - ms, to, seq: event.seq, isOpen: false, isFailed: false });
  }

  stretch(now: number): void {
    for (const span of this.#open.values()) span.to = Math.max(span.from, now);
  }
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");

export function lanesOf(events: readonly Envelope[], now: number): Lanes {
  const builder = new Builder();
  const marks: Mark[] = [];
  const attempts: Attempt[] = [];
  for (const event of events) {
    step(builder, event);
    if (event.type === "run.started") attempts.push({ number: event.attempt ?? attempts.length + 1, from: Date.parse(event.at) });
    if (MARKS.has(event.type)) marks.push({ at: Date.parse(event.at), seq: event.seq, type: event.type, data: event.data });
  }
  builder.stretch(now);
  const times = [...builder.spans.flatMap((span) => [span.from, span.to]), ...marks.map((mark) => mark.at)];
  return { spans: builder.spans, marks, attempts, from: Math.min(...times), to: Math.max(...times) };
}

function step(builder: Builder, event: Envelope): void {
  const { type, data } = event;
  if (type === "run.queued" || type === "run.retrying") {
    if (type === "run.retrying") builder.endAll(event);
    builder.begin("queue", "queue", type, event);
  } else if (type === "worker.starting") builder.begin("worker", "worker", type, event);
  else if (type === "worker.ready") builder.end("worker", event);
  else if (type === "workspace.restoring") builder.begin("restore", "restore", type, event);
  else if (type === "workspace.restored") builder.end("restore", event);
  else if (type === "run.started") ["queue", "worker", "restore"].forEach((key) => builder.end(key, event));
  else if (type === "message.delta") builder.begin(`message ${text(data.messageId)}`, "model", text(data.role), event);
  else if (type === "message.stop") builder.end(`message ${text(data.messageId)}`, event);
  else if (type === "tool.call") builder.begin(`tool ${text(data.toolCallId)}`, "tools", text(data.title), event, text(data.toolCallId));
  else if (type === "human_loop.requested") builder.begin(`ask ${text(data.requestId)}`, "you", text(data.title), event, text((data.toolCall as { toolCallId?: unknown } | null | undefined)?.toolCallId));
  else if (type === "human_loop.resolved") builder.end(`ask ${text(data.requestId)}`, event, data.decision === "deny");
  else if (type === "workspace.synced" && typeof data.seconds === "number") builder.whole("saving", type, event, data.seconds * 1000);
  else if (type === "run.finished") builder.endAll(event);
  if ((type === "tool.update" || type === "tool.call") && (data.status === "completed" || data.status === "failed"))
    builder.end(`tool ${text(data.toolCallId)}`, event, data.status === "failed");
}

/** A stretch of the axis: real milliseconds, drawn as `width`. */
export interface Stretch {
  from: number;
  to: number;
  start: number;
  width: number;
  isFolded: boolean;
}

const FOLD_FROM_MS = 60_000;

/** The axis with waits and gaps of more than a minute folded, so that a night does not flatten a run. */
export function axisOf(lanes: Lanes): Stretch[] {
  const waits = lanes.spans.filter((span) => span.lane === "you");
  const busy = lanes.spans.filter((span) => span.lane !== "you" && span.lane !== "queue");
  const edges = [lanes.from, lanes.to, ...lanes.spans.flatMap((span) => [span.from, span.to])];
  const times = [...new Set(edges)].filter(Number.isFinite).sort((a, b) => a - b);
  const parts: { from: number; to: number; isFolded: boolean }[] = [];
  for (let at = 1; at < times.length; at++) {
    const from = times[at - 1] ?? 0;
    const to = times[at] ?? 0;
    const isWaiting = (call: Span): boolean => waits.some((wait) => wait.toolCallId !== undefined && wait.toolCallId === call.toolCallId && wait.from < to && wait.to > from);
    const isIdle = !busy.some((span) => span.from < to && span.to > from && !isWaiting(span));
    const last = parts.at(-1);
    if (last && last.isFolded === isIdle) last.to = to;
    else parts.push({ from, to, isFolded: isIdle });
  }
  const real = parts.map((part) => ({ ...part, isFolded: part.isFolded && part.to - part.from > FOLD_FROM_MS }));
  const shown = real.reduce((sum, part) => sum + (part.isFolded ? 0 : part.to - part.from), 0);
  const fold = Math.max(shown * 0.04, 1);
  let start = 0;
  return real.map((part) => {
    const width = part.isFolded ? fold : part.to - part.from;
    start += width;
    return { ...part, start: start - width, width };
  });
}

export function placeOn(axis: readonly Stretch[], time: number): number {
  for (const part of axis)
    if (time <= part.to) return part.start + (part.width * Math.max(0, time - part.from)) / Math.max(1, part.to - part.from);
  const last = axis.at(-1);
  return last ? last.start + last.width : 0;
}

const STEPS_MS = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000];

/** Round times since the beginning, about `most` of them in the part of the axis that is seen; none in what is folded. */
export function ticksOf(axis: readonly Stretch[], { share, most }: { share: number; most: number }): number[] {
  const begin = axis[0]?.from ?? 0;
  const open = axis.filter((part) => !part.isFolded);
  const seen = open.reduce((sum, part) => sum + part.width, 0) * share;
  const step = STEPS_MS.find((one) => seen / one <= most) ?? Math.ceil(seen / most / 86_400_000) * 86_400_000;
  const ticks: number[] = [];
  for (const part of open) for (let at = Math.ceil((part.from - begin) / step) * step; begin + at <= part.to; at += step) ticks.push(begin + at);
  return [...new Set(ticks)];
}
