import { useTranslation } from "react-i18next";
import { useFromLog } from "../live";
import type { Panel } from "../local";
import { Icon, type IconName } from "../parts/Icon";
import styles from "./PanelTabs.module.css";
import { countTodos } from "./Todos";

const TABS: { panel: Panel; icon: IconName }[] = [
  { panel: "todos", icon: "todos" },
  { panel: "files", icon: "files" },
  { panel: "timeline", icon: "timeline" },
  { panel: "queue", icon: "queue" },
];

interface PanelTabsProps {
  sessionId: string;
  panel: Panel | "none";
  onChoose: (panel: Panel | "none") => void;
}

/** At the edge of the chat; on a phone, the tabs below it. */
export function PanelTabs({ sessionId, panel, onChoose }: PanelTabsProps) {
  const { t } = useTranslation();
  const { done, all } = countTodos(useFromLog(sessionId, (state) => state.todos));
  const waiting = useFromLog(sessionId, (state) => state.queue.length);
  const counts: Partial<Record<Panel, string>> = {
    todos: all > 0 ? `${done}/${all}` : "",
    queue: waiting > 0 ? String(waiting) : "",
  };
  return (
    <nav className={styles.tabs} aria-label={t("panel.label")}>
      <button type="button" className={`${styles.tab} ${styles.chat}`} aria-pressed={panel === "none"} onClick={() => onChoose("none")}>
        <Icon name="chat" />
        <span className={styles.label}>{t("panel.chat")}</span>
      </button>
      {TABS.map(({ panel: name, icon }, at) => (
        <button
          key={name}
          type="button"
          className={styles.tab}
          aria-pressed={panel === name}
          title={`${t(`panel.${name}`)} (Alt ${at + 1})`}
          onClick={() => onChoose(panel === name ? "none" : name)}
        >
          <Icon name={icon} />
          <span className={styles.label}>{t(`panel.${name}`)}</span>
          {counts[name] && <span className={styles.count}>{counts[name]}</span>}
        </button>
      ))}
    </nav>
  );
}
