/**
 * The tab's one socket (`/api/ws`): what changes in my list and inbox, and the events of the sessions that are open.
 *
 * It goes on where each feed is, comes back by itself, and says how it stands in `connection`.
 */
import ReconnectingWebSocket from "partysocket/ws";
import { createStore } from "zustand/vanilla";
import type { Envelope } from "./events";
import type { Feed } from "./feed";

export type Standing = "connecting" | "live" | "away" | "signedOut" | "forbidden";

interface Connection {
  standing: Standing;
  since: number;
  version: string | null;
}

export const connection = createStore<Connection>(() => ({ standing: "connecting", since: Date.now(), version: null }));

export type Frame = { kind: string } & Record<string, unknown>;
type Listener = (frame: Frame) => void;

const HANDSHAKE_MS = 5_000;
const SUBSCRIBE_AGAIN_MS = 2_000;
const LIVE_CODES = new Set([1012, 4008]);

export class Hub {
  readonly #feeds = new Map<string, Feed>();
  readonly #listeners = new Set<Listener>();
  readonly #socket: ReconnectingWebSocket;
  readonly #onRefused: () => void;
  #isEnded = false;

  constructor(url: string, onRefused: () => void) {
    this.#onRefused = onRefused;
    this.#socket = new ReconnectingWebSocket(url, [], {
      connectionTimeout: HANDSHAKE_MS,
      minReconnectionDelay: 400 + Math.random() * 200,
      maxReconnectionDelay: 13_000 + Math.random() * 4_000,
      reconnectionDelayGrowFactor: 2,
      minUptime: 2_000,
      maxEnqueuedMessages: 0,
    });
    this.#socket.addEventListener("open", () => this.#joinAll());
    this.#socket.addEventListener("close", () => this.#lost());
    this.#socket.addEventListener("message", (message) => this.#take(String(message.data)));
    for (const name of ["online", "pageshow"]) addEventListener(name, () => this.#tryNow());
    addEventListener("offline", () => stand("away"));
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#tryNow());
  }

  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  join(sessionId: string, feed: Feed): () => void {
    this.#feeds.set(sessionId, feed);
    if (connection.getState().standing === "live") this.#join(sessionId, feed);
    return () => {
      if (this.#feeds.get(sessionId) !== feed) return;
      this.#feeds.delete(sessionId);
      this.#say({ kind: "unsubscribe", sessionId });
    };
  }

  /** After signing in again. */
  again(): void {
    this.#isEnded = false;
    this.#socket.reconnect();
  }

  #joinAll(): void {
    stand("live");
    for (const [sessionId, feed] of this.#feeds) this.#join(sessionId, feed);
  }

  #join(sessionId: string, feed: Feed): void {
    this.#say({ kind: "subscribe", sessionId, after: feed.seq });
  }

  #say(frame: Frame): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }

  #tryNow(): void {
    if (this.#isEnded) return;
    if (this.#socket.readyState === WebSocket.OPEN) this.#say({ kind: "ping" });
    else this.#socket.reconnect();
  }

  #lost(): void {
    if (this.#isEnded) return;
    // a handshake does not say why it was refused: ask once, so that a sign-in that ended is told
    if (connection.getState().standing !== "live") this.#onRefused();
    stand("away");
  }

  #take(text: string): void {
    const frame = JSON.parse(text) as Frame;
    if (frame.kind === "event") this.#feeds.get(String(frame.sessionId))?.take(frame as unknown as Envelope);
    else if (frame.kind === "closing") this.#closing(frame);
    else if (frame.kind === "error") this.#refused(frame);
    else if (frame.kind === "hello") connection.setState({ version: String(frame.version ?? "") });
    this.tell(frame);
  }

  tell = (frame: Frame): void => {
    for (const listener of this.#listeners) listener(frame);
  };

  /** A subscription alone may end, a server may ask to come back later, or this sign-in is over. */
  #closing(frame: Frame): void {
    const code = Number(frame.code);
    if (typeof frame.sessionId === "string") this.#feeds.delete(frame.sessionId);
    else if (!LIVE_CODES.has(code)) this.#end(code);
    else if (typeof frame.retryAfterMs === "number") {
      this.#socket.close();
      setTimeout(() => this.#tryNow(), frame.retryAfterMs);
    }
  }

  #refused(frame: Frame): void {
    const sessionId = String(frame.sessionId ?? "");
    const feed = this.#feeds.get(sessionId);
    if (feed && frame.code === "database_unavailable") setTimeout(() => this.#feeds.get(sessionId) === feed && this.#join(sessionId, feed), SUBSCRIBE_AGAIN_MS);
  }

  #end(code: number): void {
    this.#isEnded = true;
    stand(code === 4401 ? "signedOut" : "forbidden");
    this.#socket.close();
  }
}

export function stand(standing: Standing): void {
  if (connection.getState().standing !== standing) connection.setState({ standing, since: Date.now() });
}
