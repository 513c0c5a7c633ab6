import { memo, useMemo } from "react";
import { ColouredLines, useTokens } from "../markdown/CodeBlock";
import { languageOf } from "./language";
import styles from "./TextLines.module.css";

/** Text with line numbers. Long lines scroll inside; colours come when the text rests. */
export const TextLines = memo(function TextLines({ text, name }: { text: string; name: string }) {
  const plain = useMemo(() => text.replaceAll(/\r\n?/g, "\n").replace(/\n$/, ""), [text]);
  const numbers = useMemo(() => Array.from({ length: plain.split("\n").length }, (_, at) => at + 1).join("\n"), [plain]);
  const tokens = useTokens(languageOf(name), plain);
  return (
    <div className={styles.frame} role="group" aria-label={name} tabIndex={0}>
      <pre className={styles.numbers} aria-hidden="true">{numbers}</pre>
      <pre className={styles.text}><code>{tokens?.text === plain ? <ColouredLines lines={tokens.lines} /> : plain}</code></pre>
    </div>
  );
});
