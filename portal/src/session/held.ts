/** Files for a session that is still to come: kept on the page, and uploaded as soon as its first prompt is sent. */
import { useRef, useState } from "react";
import { call } from "../api/client";
import { useMe } from "../api/queries";
import type { Session } from "../api/types";
import { sentenceOf } from "../words/server";
import { upload, type Upload, type UploadList } from "./uploads";

const MOST_TITLE = 80;

interface Held extends Upload {
  file: File;
}

/** Where the files are: the body of the first prompt names both. */
export interface Placed {
  sessionId: string;
  attachments: string[];
}

export interface HeldFiles {
  uploads: UploadList;
  /** Make the session and upload what is held. Null when a file was refused, which says why; another try goes on. */
  place: (prompt: string) => Promise<Placed | null>;
}

export function useHeldFiles(): HeldFiles {
  const canUpload = useMe().data?.permissions.includes("files:write") ?? false;
  const [items, setItems] = useState<readonly Held[]>([]);
  const [isPlacing, setPlacing] = useState(false);
  const made = useRef<{ sessionId: string | null }>({ sessionId: null });
  const hold = (file: File): Held => ({ id: crypto.randomUUID(), name: file.name, path: null, problem: null, isHeld: true, file });
  const place = async (prompt: string): Promise<Placed | null> => {
    setPlacing(true);
    setItems(items.map((one) => ({ ...one, problem: null, isHeld: false })));
    const placed = await placeAll(made.current, items, prompt);
    setItems(placed);
    setPlacing(false);
    const attachments = placed.flatMap((one) => (one.path ? [one.path] : []));
    return made.current.sessionId && attachments.length === placed.length ? { sessionId: made.current.sessionId, attachments } : null;
  };
  const uploads: UploadList = {
    canUpload,
    isBusy: isPlacing,
    items,
    add: (files) => setItems((before) => [...before, ...files.map(hold)]),
    retry: (id) => setItems((before) => before.map((one) => (one.id === id ? { ...one, problem: null, isHeld: true } : one))),
    remove: (id) => setItems((before) => before.filter((one) => one.id !== id)),
    take: () => ({}),
  };
  return { uploads, place };
}

async function placeAll(made: { sessionId: string | null }, items: readonly Held[], prompt: string): Promise<readonly Held[]> {
  try {
    made.sessionId ??= await makeSession(prompt);
  } catch (error) {
    return items.map((one) => ({ ...one, problem: sentenceOf(error) }));
  }
  const { sessionId } = made;
  return Promise.all(items.map((one) => (one.path ? one : placeOne(sessionId, one))));
}

async function makeSession(prompt: string): Promise<string> {
  const title = (prompt.split("\n")[0] ?? "").slice(0, MOST_TITLE);
  const { sessionId } = await call<Session>("/api/sessions", { method: "POST", body: { title } });
  return sessionId;
}

async function placeOne(sessionId: string, one: Held): Promise<Held> {
  try {
    return { ...one, path: (await upload(sessionId, one.file)).path, problem: null };
  } catch (error) {
    return { ...one, problem: sentenceOf(error) };
  }
}
