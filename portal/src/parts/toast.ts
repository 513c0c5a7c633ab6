/** Short words about what was just done. What needs an answer is never a toast. */
import { createStore } from "zustand/vanilla";

export interface Told {
  title: string;
  detail: string | undefined;
}

export const told = createStore<{ waiting: readonly Told[]; isUsed: boolean }>(() => ({ waiting: [], isUsed: false }));

export function toast(title: string, detail?: string): void {
  told.setState(({ waiting }) => ({ waiting: [...waiting, { title, detail }], isUsed: true }));
}
