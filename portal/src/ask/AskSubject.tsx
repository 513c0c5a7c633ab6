import { useTranslation } from "react-i18next";
import { Diff } from "../session/Diff";
import { CodeBlock } from "../session/markdown/CodeBlock";
import { shortPath, withShortPaths } from "../session/paths";
import { commandOf, textOf } from "../session/ToolDetail";
import styles from "./AskCard.module.css";
import type { Ask } from "./asked";

/** What would be done: the whole change, the whole command, or the arguments as they are. */
export function AskSubject({ ask }: { ask: Ask }) {
  const { t } = useTranslation();
  const call = ask.toolCall;
  if (ask.diffs.length > 0) return <div className={styles.subject}>{ask.diffs.map((diff, at) => <Diff key={at} diff={diff} />)}</div>;
  if (!call || call.input === undefined || call.input === null) return null;
  const command = commandOf(call.input);
  const text = withShortPaths(command ?? textOf(call.input), call.workspace);
  const place = call.cwd && shortPath(call.cwd);
  return (
    <div className={styles.subject}>
      <CodeBlock text={text} language={command ? "bash" : "json"} isBare />
      {place && <p className={styles.where}>{place === "." ? t("ask.cwdWorkspace") : t("ask.cwd", { path: place })}</p>}
    </div>
  );
}
