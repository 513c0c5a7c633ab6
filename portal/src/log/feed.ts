/**
 * One session, live: pages and frames in, states out, at most one a frame of the screen and none while hidden.
 *
 * The feed owns order (duplicates fall to `reduce`), holes (what is missing is read again) and the reading of the beginning.
 */
import type { Envelope, SessionState } from "./events";
import { EMPTY, reduce } from "./reduce";

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

  /** Begin with a folded state, such as the server's transcript. */
  begin(state: SessionState): void {
    this.#state = state.seq > this.#state.seq ? state : this.#state;
    this.isLoaded = true;
    this.#tell();
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
      this.failure = error;
      this.#tell();
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

  #flush(): void {
    const events = this.#waiting;
    this.#waiting = [];
    const before = this.#state;
    this.#state = reduce(before, events);
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
