/** The server's fold of a session's log: read it, and go on from it. */
import { call } from "../api/client";
import type { Transcript } from "../api/types";
import type { SessionState } from "./events";
import { EMPTY } from "./reduce";

const SHOWN_FIRST = 60;

export function readTranscript(sessionId: string, before?: number): Promise<Transcript> {
  return call<Transcript>(`/api/sessions/${sessionId}/transcript`, { query: { limit: SHOWN_FIRST, before } });
}

export function fromTranscript(transcript: Transcript): SessionState {
  return {
    ...EMPTY,
    seq: transcript.seq,
    items: new Map(transcript.items.map((item) => [item.id, item])),
    order: transcript.items.map((item) => item.id),
  };
}
