import { memo, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { toast } from "../../parts/toast";
import { Button } from "../../parts/Button";
import styles from "./CodeBlock.module.css";
import { highlight, type Tokens } from "./highlight";

interface CodeBlockProps {
  language: string;
  text: string;
  isBare?: boolean;
}

/** Code with its language and a copy button. Colours come from a worker, when the text rests. */
export const CodeBlock = memo(function CodeBlock({ language, text, isBare }: CodeBlockProps) {
  const { t } = useTranslation();
  const tokens = useTokens(language, text);
  const copy = (): void => void navigator.clipboard.writeText(text).then(() => toast(t("common.copied")));
  return (
    <figure className={isBare ? styles.bare : styles.block}>
      {!isBare && (
        <figcaption className={styles.head}>
          <span>{language || t("chat.text")}</span>
          <Button look="quiet" className={styles.copy ?? ""} onClick={copy}>{t("common.copy")}</Button>
        </figcaption>
      )}
      <pre className={styles.code} data-wraps={isBare && language === "bash"} tabIndex={0}>
        <code>{tokens?.text === text ? <ColouredLines lines={tokens.lines} /> : text}</code>
      </pre>
    </figure>
  );
});

export function ColouredLines({ lines }: { lines: Tokens["lines"] }) {
  return <>{lines.map((line, at) => <Line key={at} line={line} />)}</>;
}

function Line({ line }: { line: Tokens["lines"][number] }) {
  return (
    <>
      {line.map(([kind, content], at) => (kind ? <span key={at} className={styles[kind]}>{content}</span> : content))}
      {"\n"}
    </>
  );
}

const REST_MS = 250;

export function useTokens(language: string, text: string): Tokens | null {
  const [tokens, setTokens] = useState<Tokens | null>(null);
  useEffect(() => {
    if (!language) return;
    let isHere = true;
    const timer = setTimeout(() => {
      void highlight(language, text).then((found) => isHere && found && setTokens(found));
    }, REST_MS);
    return () => {
      isHere = false;
      clearTimeout(timer);
    };
  }, [language, text]);
  return tokens;
}
