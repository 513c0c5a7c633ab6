/** The socket of one session, for servers without the hub. Goes with the last of them. */
import ReconnectingWebSocket from "partysocket/ws";
import type { Envelope } from "./events";
import type { Feed } from "./feed";
import { stand, type Frame } from "./hub";

export function followSession(sessionId: string, feed: Feed, onFrame: (frame: Frame) => void): () => void {
  const origin = location.origin.replace(/^http/, "ws");
  const socket = new ReconnectingWebSocket(() => `${origin}/api/sessions/${sessionId}/ws?after=${feed.seq}`, [], {
    connectionTimeout: 5000,
    minReconnectionDelay: 500,
    maxReconnectionDelay: 15_000,
    reconnectionDelayGrowFactor: 2,
  });
  socket.addEventListener("open", () => stand("live"));
  socket.addEventListener("close", () => stand("away"));
  socket.addEventListener("message", (message) => {
    const frame = JSON.parse(String(message.data)) as Frame;
    if (frame.kind === "event") feed.take(frame as unknown as Envelope);
    onFrame(frame);
  });
  return () => socket.close();
}
