import { useRef, type KeyboardEvent, type PointerEvent, type ReactNode } from "react";
import { useLocal } from "../local";
import { useCssSize } from "./cssSize";
import styles from "./Splitter.module.css";

interface SplitterProps {
  name: "sidebar" | "panel";
  /** Which side of the pane is dragged. */
  edge: "start" | "end";
  value: number;
  min: number;
  max: number;
  label: string;
  children: ReactNode;
}

const STEP = 16;

/** A pane whose width is the person's, by pointer or arrow keys, and kept. */
export function Splitter({ name, edge, value, min, max, label, children }: SplitterProps) {
  const set = useLocal((local) => local.set);
  const pane = useCssSize(value, "--width");
  const from = useRef<{ x: number; width: number } | null>(null);
  const sign = edge === "end" ? 1 : -1;
  const resize = (width: number): void => {
    const widths = useLocal.getState().widths;
    set({ widths: { ...widths, [name]: Math.round(Math.min(max, Math.max(min, width))) } });
  };
  const down = (event: PointerEvent<HTMLDivElement>): void => {
    event.currentTarget.setPointerCapture(event.pointerId);
    from.current = { x: event.clientX, width: value };
  };
  const move = (event: PointerEvent<HTMLDivElement>): void => {
    if (from.current) resize(from.current.width + sign * (event.clientX - from.current.x));
  };
  const press = (event: KeyboardEvent): void => {
    if (event.key === "ArrowRight") resize(value + sign * STEP);
    else if (event.key === "ArrowLeft") resize(value - sign * STEP);
    else return;
    event.preventDefault();
  };
  return (
    <div ref={pane} className={styles.pane}>
      {children}
      <div
        className={`${styles.grip} ${styles[edge]}`}
        role="separator"
        aria-orientation="vertical"
        aria-label={label}
        aria-valuenow={value}
        aria-valuemin={min}
        aria-valuemax={max}
        tabIndex={0}
        onPointerDown={down}
        onPointerMove={move}
        onPointerUp={() => (from.current = null)}
        onKeyDown={press}
      />
    </div>
  );
}
