/** Files that go with the next prompt. They are kept like drafts: over pages, reloads and a refused prompt. */
import { useMemo } from "react";
import { create } from "zustand";
import { persist } from "zustand/middleware";
import { call } from "../api/client";
import { queries, useMe } from "../api/queries";
import type { UploadAnswer } from "../api/types";
import { sentenceOf } from "../words/server";

export interface Upload {
  id: string;
  name: string;
  /** Where the workspace has it; null while it is on its way, or refused. */
  path: string | null;
  /** Why it was refused. */
  problem: string | null;
  /** It waits on the page for the prompt that makes its session. */
  isHeld?: boolean;
}

export interface UploadList {
  canUpload: boolean;
  isBusy: boolean;
  items: readonly Upload[];
  add: (files: File[]) => void;
  retry: (id: string) => void;
  remove: (id: string) => void;
  /** What a start body says of them. Refused ones stay. */
  take: () => { attachments?: string[] };
}

type Shelf = Record<string, readonly Upload[]>;
const NONE: readonly Upload[] = [];
const sources = new Map<string, File>();

export const useShelf = create<{ of: Shelf }>()(
  persist(() => ({ of: {} as Shelf }), { name: "runyard.uploads", version: 1, partialize: ({ of }) => ({ of: kept(of) }) }),
);

/** Only what the server has outlives the page. */
export function kept(of: Shelf): Shelf {
  return Object.fromEntries(Object.entries(of).map(([id, items]) => [id, items.filter((one) => one.path !== null)]).filter(([, items]) => items?.length));
}

function change(sessionId: string, next: (items: readonly Upload[]) => readonly Upload[]): void {
  useShelf.setState(({ of }) => ({ of: { ...of, [sessionId]: next(of[sessionId] ?? NONE) } }));
}

const update = (sessionId: string, id: string, facts: Partial<Upload>): void =>
  change(sessionId, (items) => items.map((one) => (one.id === id ? { ...one, ...facts } : one)));

/** Put a file into the session's workspace. Raises Problem and Offline. */
export async function upload(sessionId: string, file: File): Promise<UploadAnswer> {
  const body = new FormData();
  body.append("file", file, file.name);
  const answer = await call<UploadAnswer>(`/api/sessions/${sessionId}/uploads`, { method: "POST", body });
  void queries.invalidateQueries({ queryKey: ["files", sessionId, "newest"] });
  return answer;
}

async function put(sessionId: string, id: string): Promise<void> {
  const file = sources.get(id);
  if (!file) return;
  update(sessionId, id, { problem: null });
  try {
    const { path } = await upload(sessionId, file);
    sources.delete(id);
    update(sessionId, id, { path });
  } catch (error) {
    update(sessionId, id, { problem: sentenceOf(error) });
  }
}

function attach(sessionId: string, file: File): void {
  const id = crypto.randomUUID();
  sources.set(id, file);
  change(sessionId, (items) => [...items, { id, name: file.name, path: null, problem: null }]);
  void put(sessionId, id);
}

/** A refused prompt gives its files back. */
export function attachAgain(sessionId: string, paths: readonly string[]): void {
  const back = paths.map((path): Upload => ({ id: crypto.randomUUID(), name: path.slice(path.lastIndexOf("/") + 1), path, problem: null }));
  change(sessionId, (items) => [...back, ...items]);
}

export function take(sessionId: string): { attachments?: string[] } {
  const items = useShelf.getState().of[sessionId] ?? NONE;
  const attachments = items.flatMap((one) => (one.path ? [one.path] : []));
  change(sessionId, (before) => before.filter((one) => one.path === null));
  return attachments.length > 0 ? { attachments } : {};
}

export function useUploads(sessionId: string): UploadList {
  const canUpload = useMe().data?.permissions.includes("files:write") ?? false;
  const items = useShelf(({ of }) => of[sessionId] ?? NONE);
  return useMemo(
    () => ({
      canUpload,
      isBusy: items.some((one) => one.path === null && one.problem === null),
      items,
      add: (files) => files.forEach((file) => attach(sessionId, file)),
      retry: (id) => void put(sessionId, id),
      remove: (id) => (sources.delete(id), change(sessionId, (before) => before.filter((one) => one.id !== id))),
      take: () => take(sessionId),
    }),
    [canUpload, items, sessionId],
  );
}
