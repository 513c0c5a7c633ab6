/** What is done for a session while any part of the page shows it: once, however many parts do. */
import type { Feed } from "./feed";
import type { SessionState } from "./events";

type Leave = () => void;

export class Upkeep {
  readonly #begin: (id: string) => Leave;
  readonly #kept = new Map<string, { users: number; end: Leave }>();

  constructor(begin: (id: string) => Leave) {
    this.#begin = begin;
  }

  /** Begin for the first that joins; what is answered ends it for the last that leaves. */
  join(id: string): Leave {
    const kept = this.#kept.get(id) ?? { users: 0, end: this.#begin(id) };
    kept.users += 1;
    this.#kept.set(id, kept);
    return () => {
      kept.users -= 1;
      if (kept.users > 0) return;
      this.#kept.delete(id);
      kept.end();
    };
  }
}

/** Call at once, and whenever one of these facts of the log has changed. */
export function onFacts(feed: Feed, factsOf: (state: SessionState) => readonly unknown[], tell: () => void): Leave {
  let before = factsOf(feed.state);
  tell();
  return feed.watch(() => {
    const now = factsOf(feed.state);
    if (now.every((fact, at) => fact === before[at])) return;
    before = now;
    tell();
  });
}
