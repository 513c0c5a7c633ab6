import { lazy, Suspense } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { Panel as PanelName } from "../local";
import { useLocal } from "../local";
import type { SessionState } from "../log/events";
import { IconButton } from "../parts/Button";
import { Skeleton } from "../parts/Note";
import { Splitter } from "../parts/Splitter";
import styles from "./Panel.module.css";
import { Queue } from "./Queue";
import { Todos } from "./Todos";

const FilesPane = lazy(() => import("./files/FilesPane").then((module) => ({ default: module.FilesPane })));
const Timeline = lazy(() => import("./timeline/Timeline").then((module) => ({ default: module.Timeline })));

interface PanelProps {
  sessionId: string;
  state: SessionState;
  panel: PanelName;
  onChoose: (panel: PanelName | "none") => void;
}

/** Beside the conversation: one of todos, files, timeline and queue. */
export function Panel({ sessionId, state, panel, onChoose }: PanelProps) {
  const { t } = useTranslation();
  const width = useLocal((local) => local.widths.panel);
  return (
    <aside className={styles.aside} aria-label={t(`panel.${panel}`)}>
      <Splitter name="panel" edge="start" value={width} min={260} max={640} label={t("shell.resizePanel")}>
        <div className={styles.head}>
          <h2 className={styles.title}>{t(`panel.${panel}`)}</h2>
          {panel === "timeline" && <Link className={styles.whole} to={`/s/${sessionId}/timeline`}>{t("timeline.whole")}</Link>}
          <IconButton className={styles.close} icon="cross" label={t("panel.close")} onClick={() => onChoose("none")} />
        </div>
        <div className={styles.body}>
          <Suspense fallback={<Skeleton />}>
            {panel === "todos" && <Todos sessionId={sessionId} todos={state.todos} />}
            {panel === "queue" && <Queue sessionId={sessionId} waiting={state.queue} />}
            {panel === "files" && <FilesPane key={sessionId} sessionId={sessionId} state={state} />}
            {panel === "timeline" && <Timeline sessionId={sessionId} state={state} isNarrow />}
          </Suspense>
        </div>
      </Splitter>
    </aside>
  );
}
