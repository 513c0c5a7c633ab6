/** Who reads a session now, as the server's frames say. */
import { create } from "zustand";
import { useMe } from "../api/queries";

export interface PresentUser {
  userId: string;
  name: string;
}

type Rooms = Record<string, readonly PresentUser[]>;
const NOBODY: readonly PresentUser[] = [];

export const usePresence = create<{ rooms: Rooms }>(() => ({ rooms: {} }));

export function learnPresent(sessionId: string, users: readonly PresentUser[]): void {
  usePresence.setState(({ rooms }) => ({ rooms: { ...rooms, [sessionId]: users } }));
}

/** The others: myself is no news. */
export function useOthers(sessionId: string): readonly PresentUser[] {
  const me = useMe().data?.userId;
  const users = usePresence(({ rooms }) => rooms[sessionId] ?? NOBODY);
  return me ? users.filter((one) => one.userId !== me) : NOBODY;
}

/** One or two letters that stand for a name; a Chinese name's last character. */
export function initialsOf(name: string): string {
  const words = name.trim().split(/[\s._-]+/).filter(Boolean);
  const [first = "?", last = ""] = [words[0], words.length > 1 ? words.at(-1) : ""];
  if (/\p{Script=Han}/u.test(first)) return [...first].at(-1) ?? "?";
  return ([...first][0] ?? "?").toUpperCase() + ([...last][0] ?? "").toUpperCase();
}
