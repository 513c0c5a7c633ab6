import { useCssSize } from "./cssSize";
import styles from "./Meter.module.css";

export function Meter({ label, value, max }: { label: string; value: number; max: number }) {
  const bar = useCssSize(`${max > 0 ? Math.min(100, (100 * value) / max) : 0}%`, "--part");
  return (
    <div ref={bar} className={styles.meter} role="meter" aria-label={label} aria-valuenow={value} aria-valuemin={0} aria-valuemax={max} />
  );
}
