/** Every key of the portal, in one table; `?` shows it. Single letters never act inside a field. */
import { useEffect, useLayoutEffect, useRef } from "react";
import { useLocal } from "./local";

export const KEYS = {
  palette: "Ctrl+k",
  search: "/",
  newPrompt: "n",
  help: "?",
  goInbox: "g i",
  goSessions: "g s",
  goUsage: "g u",
  goOperations: "g o",
  previousSession: "[",
  nextSession: "]",
  panelTodos: "Alt+1",
  panelFiles: "Alt+2",
  panelTimeline: "Alt+3",
  panelQueue: "Alt+4",
  allow: "a",
  allowAlways: "Shift+A",
  deny: "d",
  denyWithReason: "r",
  nextRow: "j",
  previousRow: "k",
  openRow: "o",
  copyRow: "c",
  linkRow: "l",
  follow: "End",
} as const;

export type KeyName = keyof typeof KEYS;

const SEQUENCE_MS = 1200;

/** The name that a pressed key has in the table. */
export function nameOf(event: Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">): string {
  if (event.ctrlKey || event.metaKey) return `Ctrl+${event.key.toLowerCase()}`;
  if (event.altKey) return `Alt+${event.key}`;
  if (event.shiftKey && /^[A-Z]$/i.test(event.key)) return `Shift+${event.key.toUpperCase()}`;
  return event.key;
}

function isField(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

type Actions = Partial<Record<KeyName, () => void>>;

let lastKey = "";
let lastAt = 0;

/** Bind actions while the component is there. The newest binding of a key wins. */
export function useKeys(actions: Actions, isOn = true): void {
  const latest = useRef(actions);
  useEffect(() => {
    latest.current = actions;
  });
  // before the page is painted: a key that is shown acts at once
  useLayoutEffect(() => {
    if (!isOn) return;
    const press = (event: KeyboardEvent): void => {
      if (event.defaultPrevented || event.isComposing) return;
      const action = find(latest.current, event);
      if (!action) return;
      event.preventDefault();
      action();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [isOn]);
}

function find(actions: Actions, event: KeyboardEvent): (() => void) | undefined {
  const name = nameOf(event);
  const isModified = name.startsWith("Ctrl+") || name.startsWith("Alt+");
  if (!isModified && (isField(event.target) || !useLocal.getState().hasSingleKeys || isInPopup(event.target))) return undefined;
  const sequence = event.timeStamp - lastAt < SEQUENCE_MS ? `${lastKey} ${name}` : name;
  for (const [action, run] of Object.entries(actions))
    if (KEYS[action as KeyName] === sequence || KEYS[action as KeyName] === name) return run;
  if (name === "g") {
    lastKey = name;
    lastAt = event.timeStamp;
  }
  return undefined;
}

function isInPopup(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest('[role="menu"],[role="listbox"],[role="dialog"]') !== null;
}
