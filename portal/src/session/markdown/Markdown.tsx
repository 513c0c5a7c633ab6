import { memo, useRef, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import ReactMarkdown, { type Components } from "react-markdown";
import { cut, NOTHING, withDefinitions } from "./blocks";
import { CodeBlock } from "./CodeBlock";
import { gfm } from "./gfm";
import styles from "./Markdown.module.css";

const PLUGINS = [gfm];

const components: Components = {
  a: ({ href, children }) => (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow">{children}</a>
  ),
  img: ({ src, alt }) => <a href={typeof src === "string" ? src : undefined} target="_blank" rel="noopener noreferrer nofollow">{alt || src}</a>,
  table: ({ children }) => <ScrolledTable>{children}</ScrolledTable>,
  th: ({ children, style }) => <th data-align={style?.textAlign}>{children}</th>,
  td: ({ children, style }) => <td data-align={style?.textAlign}>{children}</td>,
  pre: ({ node, children }) => {
    const code = node?.children[0];
    if (code?.type !== "element" || code.tagName !== "code") return <pre>{children}</pre>;
    const names = code.properties.className;
    const language = Array.isArray(names) ? String(names[0] ?? "").replace("language-", "") : "";
    const text = code.children.map((part) => (part.type === "text" ? part.value : "")).join("");
    return <CodeBlock language={language} text={text.replace(/\n$/, "")} />;
  },
  input: ({ checked }) => <input type="checkbox" checked={Boolean(checked)} readOnly disabled aria-label={checked ? "✓" : "○"} />,
};

function ScrolledTable({ children }: { children: ReactNode }) {
  const { t } = useTranslation();
  return <div className={styles.table} role="region" tabIndex={0} aria-label={t("chat.table")}><table>{children}</table></div>;
}

const Block = memo(function Block({ text, definitions }: { text: string; definitions: string }) {
  return (
    <ReactMarkdown remarkPlugins={PLUGINS} components={components}>
      {withDefinitions(text, definitions)}
    </ReactMarkdown>
  );
});

/** A growing answer: each block renders once it has settled, and never again. */
export const Markdown = memo(function Markdown({ text, isDone }: { text: string; isDone: boolean }) {
  const blocks = useRef(NOTHING);
  blocks.current = cut(text, isDone, blocks.current);
  const { settled, tail, definitions } = blocks.current;
  return (
    <div className={styles.markdown}>
      {[...settled, ...tail].map((block, at) => <Block key={at} text={block} definitions={definitions} />)}
    </div>
  );
});
