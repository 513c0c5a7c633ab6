import { memo, useMemo } from "react";
import { useTranslation } from "react-i18next";
import type { FileDiff } from "../log/events";
import styles from "./Diff.module.css";
import { hunksOf, lineDiff, type Hunk } from "./lineDiff";
import { shortPath } from "./paths";

/** One file's change: its path, and the lines that changed with a few around them. */
export const Diff = memo(function Diff({ diff }: { diff: FileDiff }) {
  const { t } = useTranslation();
  const hunks = useMemo(() => hunksOf(lineDiff(diff.oldText ?? "", diff.newText ?? "")), [diff]);
  return (
    <figure className={styles.diff}>
      <figcaption className={styles.path}>
        {shortPath(diff.relativePath ?? diff.path)}
        {diff.oldText == null && <span className={styles.new}>{t("diff.new")}</span>}
      </figcaption>
      <Hunks hunks={hunks} />
      {diff.cut && <p className={styles.skipped}>{t("diff.cut")}</p>}
    </figure>
  );
});

/** `isWhole`: in a page of its own, where the page limits its height. */
export function Hunks({ hunks, isWhole = false }: { hunks: Hunk[]; isWhole?: boolean }) {
  const { t } = useTranslation();
  if (hunks.length === 0) return <p className={styles.skipped}>{t("diff.same")}</p>;
  return (
    <div className={isWhole ? styles.whole : styles.lines} role="group" tabIndex={0} aria-label={t("diff.label")}>
      <table className={styles.table}>
        {hunks.map((hunk, at) => (
          <tbody key={at}>
            {hunk.skipped > 0 && (
              <tr><td colSpan={2} className={styles.skipped}>{t("diff.skipped", { count: hunk.skipped })}</td></tr>
            )}
            {hunk.lines.map((line, row) => (
              <tr key={row} className={line.sign === "+" ? styles.add : line.sign === "-" ? styles.del : ""}>
                <td className={styles.sign}>{line.sign}</td>
                <td className={styles.text}>{line.text || " "}</td>
              </tr>
            ))}
          </tbody>
        ))}
      </table>
    </div>
  );
}
