import { useMemo } from "react";

/** Browsers end a composition before, with or after the Enter that accepts it; this is how long the Enter may lag. */
const GRACE_MS = 50;

export interface Composition {
  start: () => void;
  end: () => void;
  isComposing: (event: Pick<globalThis.KeyboardEvent, "isComposing" | "keyCode">) => boolean;
}

const IME_KEY = 229;

export function makeComposition(now: () => number): Composition {
  let isOn = false;
  let endedAt = Number.NEGATIVE_INFINITY;
  return {
    start: () => {
      isOn = true;
    },
    end: () => {
      isOn = false;
      endedAt = now();
    },
    isComposing: (event) => isOn || event.isComposing || event.keyCode === IME_KEY || now() - endedAt < GRACE_MS,
  };
}

export function useComposition(): Composition {
  return useMemo(() => makeComposition(() => performance.now()), []);
}
