/**
 * Follow the end of the conversation until the person's own hand says otherwise.
 *
 * Content that grows never ends following; only wheel, touch, keys, the scroll bar, a selection or opening a row do.
 */
import { useCallback, useEffect, useRef, useState, type RefObject } from "react";

const NEAR = 4;
const UP_KEYS = new Set(["PageUp", "ArrowUp", "Home"]);

export interface Following {
  isFollowing: boolean;
  follow: () => void;
  /** Stay where the eye is. */
  leave: () => void;
}

export function useFollowing(scroller: RefObject<HTMLElement | null>, content: RefObject<HTMLElement | null>): Following {
  const [isFollowing, setFollowing] = useState(true);
  const follows = useRef(true);
  const hand = useRef(false);

  const set = useCallback((value: boolean) => {
    follows.current = value;
    setFollowing(value);
  }, []);

  const toEnd = useCallback(() => {
    const element = scroller.current;
    if (element) element.scrollTop = element.scrollHeight;
  }, [scroller]);

  useEffect(() => {
    const element = scroller.current;
    const inner = content.current;
    if (!element || !inner) return;
    const leave = (): void => {
      hand.current = true;
      if (element.scrollHeight > element.clientHeight + NEAR) set(false);
    };
    let touchY = 0;
    const listeners: [string, (event: never) => void][] = [
      ["wheel", (event: WheelEvent) => (event.deltaY < 0 ? leave() : (hand.current = true))],
      ["touchstart", (event: TouchEvent) => (touchY = event.touches[0]?.clientY ?? 0)],
      ["touchmove", (event: TouchEvent) => ((event.touches[0]?.clientY ?? 0) > touchY + 2 ? leave() : (hand.current = true))],
      ["keydown", (event: KeyboardEvent) => (UP_KEYS.has(event.key) && !isTyping(event.target) ? leave() : (hand.current = true))],
      ["click", (event: MouseEvent) => (event.target as Element).closest("[data-keep]") && leave()],
      ["pointerdown", (event: PointerEvent) => event.offsetX > element.clientWidth && leave()],
      ["scroll", () => {
        const isAtEnd = element.scrollHeight - element.scrollTop - element.clientHeight <= NEAR;
        if (isAtEnd && hand.current && !follows.current) set(true);
      }],
    ];
    for (const [name, listener] of listeners) element.addEventListener(name, listener as EventListener, { passive: true });
    const selected = (): void => {
      const selection = getSelection();
      if (selection && !selection.isCollapsed && inner.contains(selection.anchorNode)) leave();
    };
    document.addEventListener("selectionchange", selected);
    const growth = new ResizeObserver(() => follows.current && toEnd());
    growth.observe(inner);
    growth.observe(element);
    return () => {
      for (const [name, listener] of listeners) element.removeEventListener(name, listener as EventListener);
      document.removeEventListener("selectionchange", selected);
      growth.disconnect();
    };
  }, [scroller, content, set, toEnd]);

  const follow = useCallback(() => {
    hand.current = false;
    set(true);
    toEnd();
  }, [set, toEnd]);

  const leave = useCallback(() => {
    hand.current = true;
    set(false);
  }, [set]);

  return { isFollowing, follow, leave };
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}
