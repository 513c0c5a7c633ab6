import { lazy, Suspense } from "react";
import { Icon } from "./Icon";
import styles from "./Menu.module.css";
import type { SelectProps } from "./SelectBox";

const SelectBox = lazy(() => import("./SelectBox").then((module) => ({ default: module.SelectBox })));

/** The page is drawn with the chosen value; what opens is read right after. */
export function Select(props: SelectProps) {
  return <Suspense fallback={<Chosen {...props} />}><SelectBox {...props} /></Suspense>;
}

function Chosen({ label, value, choices, isBoxed }: SelectProps) {
  return (
    <button type="button" disabled aria-label={label} className={`${styles.trigger} ${isBoxed ? styles.boxed : ""}`}>
      <span className={styles.value}>{choices.find((choice) => choice.value === value)?.label}</span>
      <Icon name="down" size={12} />
    </button>
  );
}
