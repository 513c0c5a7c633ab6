import { useTranslation } from "react-i18next";
import { shortNumber } from "../words/numbers";
import styles from "./Usage.module.css";

interface Bar {
  key: string;
  label: string;
  input: number;
  output: number;
}

const HEIGHT = 140;
const MOST = 45;

/** Tokens as bars; the table below has the same as numbers. */
export function UsageBars({ rows }: { rows: Bar[] }) {
  const { t } = useTranslation();
  const shown = rows.slice(0, MOST).reverse();
  const most = Math.max(1, ...shown.map((row) => row.input + row.output));
  const step = 1000 / shown.length;
  return (
    <figure className={styles.chart}>
      <svg viewBox={`0 0 1000 ${HEIGHT}`} preserveAspectRatio="none" className={styles.bars} aria-hidden="true">
        {shown.map((row, at) => {
          const input = (HEIGHT * row.input) / most;
          const output = (HEIGHT * row.output) / most;
          return (
            <g key={row.key}>
              <title>{`${row.label}: ${shortNumber(row.input + row.output)}`}</title>
              <rect x={at * step + step * 0.1} width={step * 0.8} y={HEIGHT - input} height={input} className={styles.input} />
              <rect x={at * step + step * 0.1} width={step * 0.8} y={HEIGHT - input - output} height={output} className={styles.output} />
            </g>
          );
        })}
      </svg>
      <figcaption className={styles.legend}>
        <span className={styles.inputKey}>{t("usage.input")}</span>
        <span className={styles.outputKey}>{t("usage.output")}</span>
      </figcaption>
    </figure>
  );
}
