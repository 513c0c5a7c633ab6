import { lazy, Suspense, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { Panel as PanelName } from "../local";
import { useLocal } from "../local";
import { useFromLog } from "../live";
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
  panel: PanelName;
  onChoose: (panel: PanelName | "none") => void;
}

/** Beside the conversation: one of todos, files, timeline and queue. */
export function Panel({ sessionId, panel, onChoose }: PanelProps) {
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
            {panel === "todos" && <TodosPane sessionId={sessionId} />}
            {panel === "queue" && <QueuePane sessionId={sessionId} />}
            {panel === "files" && <WholeState sessionId={sessionId} draw={(state) => <FilesPane key={sessionId} sessionId={sessionId} state={state} />} />}
            {panel === "timeline" && <WholeState sessionId={sessionId} draw={(state) => <Timeline sessionId={sessionId} state={state} isNarrow />} />}
          </Suspense>
        </div>
      </Splitter>
    </aside>
  );
}

function TodosPane({ sessionId }: { sessionId: string }) {
  return <Todos sessionId={sessionId} todos={useFromLog(sessionId, (state) => state.todos)} />;
}

function QueuePane({ sessionId }: { sessionId: string }) {
  return <Queue sessionId={sessionId} waiting={useFromLog(sessionId, (state) => state.queue)} />;
}

/** For panes that read the items themselves. */
function WholeState({ sessionId, draw }: { sessionId: string; draw: (state: SessionState) => ReactNode }) {
  return draw(useFromLog(sessionId, (state) => state));
}
