/**
 * What a person sent and the server has not confirmed: prompts and answers, kept in the browser before they are sent.
 *
 * An entry is sent with its key until the server takes or refuses it, so that nothing is lost by a reload or a dead
 * network and nothing is done twice. A refusal gives the text back to its author.
 */
import { call, isPassing, Problem } from "../api/client";
import type { Reply, StartBody, Started } from "../api/types";

export interface PromptEntry {
  kind: "prompt";
  key: string;
  sessionId: string | null;
  body: StartBody;
  createdAt: number;
  runId?: string;
  /** The log's end when the server took it: its own event comes after. */
  seq?: number;
}

export interface AnswerEntry {
  kind: "answer";
  key: string;
  sessionId: string;
  body: Reply;
  createdAt: number;
}

export type Entry = PromptEntry | AnswerEntry;

export interface Shelf {
  getItem(name: string): string | null;
  setItem(name: string, value: string): void;
}

type Refused = (entry: Entry, problem: Problem) => void;
type Accepted = (entry: Entry, answer: Started | null) => void;
type Send = (entry: Entry) => Promise<Started | null>;

const NAME = "runyard.outbox";
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;

export class Outbox {
  #entries: readonly Entry[];
  readonly #watchers = new Set<() => void>();
  readonly #flying = new Set<string>();
  readonly #shelf: Shelf;
  readonly #send: Send;
  #pause = FIRST_PAUSE;
  onRefused: Refused = () => undefined;
  onAccepted: Accepted = () => undefined;

  constructor(shelf: Shelf, send: Send = deliver) {
    this.#shelf = shelf;
    this.#send = send;
    this.#entries = readEntries(shelf);
  }

  get entries(): readonly Entry[] {
    return this.#entries;
  }

  watch = (watcher: () => void): (() => void) => {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  };

  add(entry: Entry): void {
    this.#keep([...readEntries(this.#shelf), entry]);
    void this.#deliver(entry);
  }

  /** Send all that waits: at start, when the network is back, when the server is. */
  sendAll(): void {
    this.#keep(readEntries(this.#shelf));
    for (const entry of this.#entries) if (!isSent(entry)) void this.#deliver(entry);
  }

  /** The log is known up to `seq`: what it has told need not be kept. */
  confirm(sessionId: string, seq: number): void {
    const left = this.#entries.filter((entry) => !isTold(entry, sessionId, seq));
    if (left.length < this.#entries.length) this.#keep(left);
  }

  async #deliver(entry: Entry): Promise<void> {
    if (this.#flying.has(entry.key)) return;
    this.#flying.add(entry.key);
    try {
      const answer = await this.#send(entry);
      this.#pause = FIRST_PAUSE;
      this.#settle(entry, answer);
      this.onAccepted(entry, answer);
    } catch (error) {
      if (isPassing(error) || !(error instanceof Problem)) this.#later(entry);
      else if (error.status !== 401) {
        this.#drop(entry);
        this.onRefused(entry, error);
      }
    } finally {
      this.#flying.delete(entry.key);
    }
  }

  #settle(entry: Entry, answer: Started | null): void {
    if (entry.kind === "answer" || !answer) return this.#drop(entry);
    const sent = { ...entry, runId: answer.runId, sessionId: answer.sessionId, seq: answer.seq };
    this.#keep(readEntries(this.#shelf).map((one) => (one.key === entry.key ? sent : one)));
  }

  #later(entry: Entry): void {
    const pause = this.#pause * (0.75 + Math.random() / 2);
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
    setTimeout(() => {
      if (this.#entries.some((one) => one.key === entry.key)) void this.#deliver(entry);
    }, pause);
  }

  #drop(entry: Entry): void {
    this.#keep(readEntries(this.#shelf).filter((one) => one.key !== entry.key));
  }

  #keep(entries: readonly Entry[]): void {
    this.#entries = entries;
    this.#shelf.setItem(NAME, JSON.stringify(entries));
    for (const watcher of this.#watchers) watcher();
  }
}

export function isTold(entry: Entry, sessionId: string, seq: number): boolean {
  return entry.kind === "prompt" && entry.sessionId === sessionId && entry.seq !== undefined && entry.seq < seq;
}

function isSent(entry: Entry): boolean {
  return entry.kind === "prompt" && entry.runId !== undefined;
}

function readEntries(shelf: Shelf): Entry[] {
  try {
    const kept: unknown = JSON.parse(shelf.getItem(NAME) ?? "[]");
    return Array.isArray(kept) ? (kept as Entry[]) : [];
  } catch {
    return [];
  }
}

async function deliver(entry: Entry): Promise<Started | null> {
  if (entry.kind === "prompt") {
    const body = entry.sessionId ? { ...entry.body, sessionId: entry.sessionId } : entry.body;
    return call<Started>("/api/runs/start", { method: "POST", body, headers: { "Idempotency-Key": entry.key } });
  }
  try {
    await call("/api/human-loop/reply", { method: "POST", body: entry.body, headers: { "Idempotency-Key": entry.key } });
  } catch (error) {
    if (!(error instanceof Problem && error.code === "already_answered")) throw error;
  }
  return null;
}
