import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { Button } from "../../parts/Button";
import { cellsOf } from "./csv";
import styles from "./CsvTable.module.css";

const STEP = 200;

/** The first rows of a table, its first line as the head; more on request. */
export function CsvTable({ text, name }: { text: string; name: string }) {
  const { t } = useTranslation();
  const [most, setMost] = useState(STEP);
  const { rows, hasMore } = useMemo(() => cellsOf(text, most + 1), [text, most]);
  const [head = [], ...body] = rows;
  return (
    <div className={styles.frame} role="group" aria-label={name} tabIndex={0}>
      <table className={styles.table}>
        <thead>
          <tr><th scope="col" className={styles.number}><span className="unseen">{t("files.line")}</span></th>{head.map((cell, at) => <th key={at} scope="col">{cell}</th>)}</tr>
        </thead>
        <tbody>
          {body.map((row, at) => (
            <tr key={at}><td className={styles.number}>{at + 1}</td>{row.map((cell, place) => <td key={place} data-number={/^-?[\d.,]+%?$/.test(cell)}>{cell}</td>)}</tr>
          ))}
        </tbody>
      </table>
      {hasMore && <Button look="quiet" onClick={() => setMost(most + STEP)}>{t("common.more")}</Button>}
    </div>
  );
}
