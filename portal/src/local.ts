/** What this browser keeps for itself: drafts, panes, language, look. Tabs of the same browser share it. */
import { create } from "zustand";
import { persist } from "zustand/middleware";

export type Theme = "system" | "light" | "dark";
export type Panel = "todos" | "files" | "timeline" | "queue";

export interface Local {
  theme: Theme;
  density: "cosy" | "compact";
  language: "en" | "zh" | null;
  hasSingleKeys: boolean;
  notifies: boolean;
  drafts: Record<string, string>;
  panels: Record<string, Panel | "none">;
  agent: string | null;
  mode: "auto" | "ask" | null;
  models: Record<string, string>;
  widths: { sidebar: number; panel: number };
  set: (change: Partial<Omit<Local, "set" | "draft" | "setPanel">>) => void;
  draft: (sessionId: string, text: string) => void;
  setPanel: (sessionId: string, panel: Panel | "none") => void;
}

const NAME = "runyard.local";

export const useLocal = create<Local>()(
  persist(
    (set) => ({
      theme: "system",
      density: "cosy",
      language: null,
      hasSingleKeys: true,
      notifies: false,
      drafts: {},
      panels: {},
      agent: null,
      mode: null,
      models: {},
      widths: { sidebar: 268, panel: 320 },
      set: (change) => set(change),
      draft: (sessionId, text) => set((state) => ({ drafts: withDraft(state.drafts, sessionId, text) })),
      setPanel: (sessionId, panel) => set((state) => ({ panels: { ...state.panels, [sessionId]: panel } })),
    }),
    { name: NAME, version: 1 },
  ),
);

function withDraft(drafts: Record<string, string>, sessionId: string, text: string): Record<string, string> {
  const others = Object.fromEntries(Object.entries(drafts).filter(([id]) => id !== sessionId));
  return text ? { ...others, [sessionId]: text } : others;
}

/** Another tab wrote: read it again, but never take away what is being typed here. */
export function shareBetweenTabs(): void {
  addEventListener("storage", (event) => {
    if (event.key === NAME && !document.hasFocus()) void useLocal.persist.rehydrate();
  });
}

export function applyLook({ theme, density }: Pick<Local, "theme" | "density">): void {
  const root = document.documentElement;
  if (theme === "system") root.removeAttribute("data-theme");
  else root.dataset.theme = theme;
  root.dataset.density = density;
}
