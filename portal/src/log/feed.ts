/**
 * One session, live: pages and frames in, states out, at most one a frame of the screen and none while hidden.
 *
 * The feed owns order (duplicates fall to `reduce`), holes (what is missing is read again) and the reading of the beginning.
 */
import type { Envelope, Item, SessionState } from "./events";
import { EMPTY, reduce } from "./reduce";
import { withOlder, type Beginning } from "./transcript";

export type Reader = (after: number) => Promise<{ items: Envelope[]; nextCursor?: number | string | null }>;

export class Feed {
  #state: SessionState = EMPTY;
  #waiting: Envelope[] = [];
  #isScheduled = false;
  readonly #watchers = new Set<() => void>();
  readonly #read: Reader;
  readonly #schedule: (work: () => void) => void;
  #isReading = false;
  isLoaded = false;
  failure: unknown = null;
  /** Where the page before begins; null when the whole log is here. */
  prevCursor: number | null = null;
  #isReadingOlder = false;

  constructor(read: Reader, schedule: (work: () => void) => void) {
    this.#read = read;
    this.#schedule = schedule;
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Where a socket has to go on. */
  get seq(): number {
    return this.#waiting.at(-1)?.seq ?? this.#state.seq;
  }

  watch = (watcher: () => void): (() => void) => {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  };

  /** Begin with the server's transcript. */
  begin({ state, prevCursor }: Beginning): void {
    if (state.seq < this.#state.seq) return;
    this.#state = state;
    this.prevCursor = prevCursor;
  }

  /** Read the page before what is here, once at a time. */
  async readOlder(read: (before: number) => Promise<{ items: Item[]; prevCursor?: number | null }>): Promise<void> {
    if (this.prevCursor === null || this.#isReadingOlder) return;
    this.#isReadingOlder = true;
    try {
      const page = await read(this.prevCursor);
      this.prevCursor = page.prevCursor ?? null;
      this.#state = withOlder(this.#state, page.items);
      this.#tell();
    } finally {
      this.#isReadingOlder = false;
    }
  }

  /** Read what the log has beyond what is known. */
  async catchUp(): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      for (let more = true; more; ) {
        const page = await this.#read(this.seq);
        this.#waiting.push(...page.items.filter((event) => event.seq > this.seq));
        more = page.items.length > 0 && page.nextCursor != null;
      }
      this.failure = null;
      this.isLoaded = true;
      this.#flush();
    } catch (error) {
      this.fail(error);
      throw error;
    } finally {
      this.#isReading = false;
    }
  }

  /** Take an event of the socket; one beyond a hole is dropped and what is missing read. */
  take(event: Envelope): void {
    if (event.seq <= this.seq) return;
    if (event.seq > this.seq + 1) {
      void this.catchUp().catch(() => undefined);
      return;
    }
    this.#waiting.push(event);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#schedule(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  fail(error: unknown): void {
    this.failure = error;
    this.#state = { ...this.#state };
    this.#tell();
  }

  #flush(): void {
    const events = this.#waiting;
    this.#waiting = [];
    const before = this.#state;
    this.#state = reduce(before, events);
    if (this.#state === before) this.#state = { ...before };
    this.#tell();
  }

  #tell(): void {
    for (const watcher of this.#watchers) watcher();
  }
}

/** Once a frame of the screen; while the tab is hidden, when it is seen again. */
export function nextFrame(work: () => void): void {
  if (document.visibilityState === "visible") {
    requestAnimationFrame(work);
    return;
  }
  const seen = (): void => {
    if (document.visibilityState !== "visible") return;
    document.removeEventListener("visibilitychange", seen);
    work();
  };
  document.addEventListener("visibilitychange", seen);
}
