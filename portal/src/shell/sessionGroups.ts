/** Which heading a session stands under. Pure. */
import type { Session } from "../api/types";

export type GroupName = "needsYou" | "running" | "pinned" | "today" | "yesterday" | "week" | "earlier";

const ORDER: GroupName[] = ["needsYou", "running", "pinned", "today", "yesterday", "week", "earlier"];
const DAY = 86_400_000;

export interface SessionGroup {
  name: GroupName;
  sessions: Session[];
}

export function groupSessions(sessions: readonly Session[], waiting: ReadonlySet<string>, now: number): SessionGroup[] {
  const groups = new Map<GroupName, Session[]>(ORDER.map((name) => [name, []]));
  const sorted = [...sessions].sort((a, b) => activityOf(b).localeCompare(activityOf(a)));
  for (const session of sorted) groups.get(groupOf(session, waiting, now))?.push(session);
  return ORDER.map((name) => ({ name, sessions: groups.get(name) ?? [] })).filter((group) => group.sessions.length > 0);
}

export const activityOf = (session: Session): string => session.lastActivityAt ?? session.updatedAt;

export function needsYou(session: Session, waiting: ReadonlySet<string>): boolean {
  return session.needsMe === undefined ? waiting.has(session.sessionId) : session.needsMe > 0;
}

function groupOf(session: Session, waiting: ReadonlySet<string>, now: number): GroupName {
  if (needsYou(session, waiting)) return "needsYou";
  if (session.status && session.status !== "idle") return "running";
  if (session.pinned) return "pinned";
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  const at = Date.parse(activityOf(session));
  if (at >= midnight) return "today";
  if (at >= midnight - DAY) return "yesterday";
  return at >= midnight - 7 * DAY ? "week" : "earlier";
}
