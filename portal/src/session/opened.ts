/** Which rows are open. It outlives a row that scrolled away. */
import { create } from "zustand";

interface Opened {
  ids: ReadonlySet<string>;
  toggle: (id: string) => void;
}

const useOpened = create<Opened>((set) => ({
  ids: new Set(),
  toggle: (id) =>
    set(({ ids }) => {
      const next = new Set(ids);
      if (!next.delete(id)) next.add(id);
      return { ids: next };
    }),
}));

export function useOpen(id: string): [boolean, () => void] {
  const isOpen = useOpened((state) => state.ids.has(id));
  const toggle = useOpened((state) => state.toggle);
  return [isOpen, () => toggle(id)];
}
