import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Button } from "./Button";
import { Empty, ErrorNote, Skeleton } from "./Note";
import styles from "./Table.module.css";

export interface Column<Row> {
  id: string;
  label: string;
  isNumber?: boolean;
  cell: (row: Row) => ReactNode;
}

interface TableProps<Row> {
  label: string;
  columns: Column<Row>[];
  rows: Row[] | undefined;
  rowKey: (row: Row) => string;
  empty: string;
  emptyNote?: string;
  error?: unknown;
  onRetry?: () => void;
  onMore?: (() => void) | undefined;
}

/** Rows of one kind, a page at a time; on a phone each row is a card with its column's names. */
export function Table<Row>({ label, columns, rows, rowKey, empty, emptyNote, error, onRetry, onMore }: TableProps<Row>) {
  const { t } = useTranslation();
  if (error && !rows) return <ErrorNote error={error} {...(onRetry && { onRetry })} />;
  if (!rows) return <Skeleton />;
  if (rows.length === 0) return <Empty title={empty}>{emptyNote && <p>{emptyNote}</p>}</Empty>;
  return (
    <div className={styles.frame} role="region" aria-label={label} tabIndex={0}>
      <table className={styles.table}>
        <thead>
          <tr>{columns.map((one) => <th key={one.id} scope="col" data-number={one.isNumber}>{one.label}</th>)}</tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={rowKey(row)}>
              {columns.map((one) => <td key={one.id} data-label={one.label} data-number={one.isNumber}><div>{one.cell(row)}</div></td>)}
            </tr>
          ))}
        </tbody>
      </table>
      {onMore && <Button look="quiet" onClick={onMore}>{t("common.more")}</Button>}
    </div>
  );
}
