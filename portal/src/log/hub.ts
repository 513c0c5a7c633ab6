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
const LIVE_CODES = new Set([1012, 4008]);

export class Hub {
  readonly #feeds = new Map<string, Feed>();
  readonly #listeners = new Set<Listener>();
  readonly #socket: ReconnectingWebSocket;
  #isEnded = false;
  #isOpen = false;

  constructor(url: string) {
    this.#socket = new ReconnectingWebSocket(url, [], {
      connectionTimeout: HANDSHAKE_MS,
      minReconnectionDelay: 400 + Math.random() * 200,
      maxReconnectionDelay: 13_000 + Math.random() * 4_000,
      reconnectionDelayGrowFactor: 2,
      minUptime: 2_000,
      maxEnqueuedMessages: 0,
      startClosed: true,
    });
    this.#socket.addEventListener("open", () => this.#joinAll());
    this.#socket.addEventListener("close", () => this.#lost());
    this.#socket.addEventListener("message", (message) => this.#take(String(message.data)));
    for (const name of ["online", "pageshow"]) addEventListener(name, () => this.#tryNow());
    addEventListener("offline", () => stand("away"));
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#tryNow());
  }

  open(): void {
    this.#isOpen = true;
    this.#socket.reconnect();
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
    if (this.#isEnded || !this.#isOpen) return;
    if (this.#socket.readyState === WebSocket.OPEN) this.#say({ kind: "ping" });
    else this.#socket.reconnect();
  }

  #lost(): void {
    if (!this.#isEnded && connection.getState().standing !== "away") stand("away");
  }

  #take(text: string): void {
    const frame = JSON.parse(text) as Frame;
    if (frame.kind === "event") this.#feeds.get(String(frame.sessionId))?.take(frame as unknown as Envelope);
    else if (frame.kind === "closing") this.#close(Number(frame.code));
    else if (frame.kind === "hello") connection.setState({ version: String(frame.version ?? "") });
    this.tell(frame);
  }

  tell = (frame: Frame): void => {
    for (const listener of this.#listeners) listener(frame);
  };

  #close(code: number): void {
    if (LIVE_CODES.has(code)) return;
    this.#isEnded = true;
    stand(code === 4401 ? "signedOut" : "forbidden");
    this.#socket.close();
  }
}

export function stand(standing: Standing): void {
  if (connection.getState().standing !== standing) connection.setState({ standing, since: Date.now() });
}
