import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import type { SessionState } from "../../log/events";
import { shortPath } from "../paths";
import { Counts } from "./ChangeList";
import list from "./ChangeList.module.css";
import { changedFiles } from "./changed";
import styles from "./Files.module.css";

/** The files that the agent's tools changed, newest first: the short way to what was just written. */
export function AgentChanges({ state, path, onChoose }: { state: SessionState; path: string; onChoose: (path: string) => void }) {
  const { t } = useTranslation();
  const changed = useMemo(() => changedFiles(state), [state]);
  if (changed.length === 0) return null;
  return (
    <details className={styles.changed} open={changed.length <= 5}>
      <summary>{t("files.changed")} · {changed.length}</summary>
      <ul className={styles.changedList}>
        {changed.map((file) => (
          <li key={file.path}>
            <button type="button" className={list.row} aria-current={shortPath(file.path) === path || undefined} onClick={() => onChoose(shortPath(file.path))}>
              <span className={list.name}>{shortPath(file.path)}</span>
              <Counts added={file.added} removed={file.removed} />
            </button>
          </li>
        ))}
      </ul>
    </details>
  );
}
