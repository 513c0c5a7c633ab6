import { useLayoutEffect, useRef, type RefObject } from "react";

/** Gives a style sheet a size that only the program knows, as a custom property. */
export function useCssSize(pixels: number | string, name: string): RefObject<HTMLDivElement | null> {
  const element = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    element.current?.style.setProperty(name, typeof pixels === "number" ? `${pixels}px` : pixels);
  }, [pixels, name]);
  return element;
}
