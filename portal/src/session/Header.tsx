import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import type { Session } from "../api/types";
import { useFromLog } from "../live";
import { liveRun } from "../log/rows";
import { IconButton } from "../parts/Button";
import { Menu } from "../parts/Menu";
import { Dot } from "../parts/Status";
import { toast } from "../parts/toast";
import { age, duration, useNow } from "../words/numbers";
import { useShell } from "../shell/place";
import { RenameDialog } from "../shell/RenameDialog";
import styles from "./Header.module.css";
import { Present } from "./Present";
import { Saved } from "./Saved";

interface HeaderProps {
  sessionId: string;
  session: Session | undefined;
}

/** The session's name, what its run does, up to where it is saved. */
export function Header({ sessionId, session }: HeaderProps) {
  const { t } = useTranslation();
  const go = useNavigate();
  const { openSidebar, openKeys } = useShell();
  const [isRenaming, setRenaming] = useState(false);
  const title = session?.title || t("sessions.untitled");
  const copyLink = (): void => void navigator.clipboard.writeText(`${location.origin}/s/${sessionId}`).then(() => toast(t("common.copied")));
  return (
    <header className={styles.head}>
      <IconButton className={styles.menu} icon="menu" label={t("shell.openSessions")} onClick={openSidebar} />
      <h1 className={styles.title} title={title}>{title}</h1>
      <Present sessionId={sessionId} />
      <Live sessionId={sessionId} />
      <Saved sessionId={sessionId} />
      <Menu
        trigger={<IconButton icon="more" label={t("chat.more")} />}
        choices={[
          { id: "rename", label: t("sessions.rename"), icon: "edit", run: () => setRenaming(true) },
          { id: "link", label: t("chat.copyLink"), icon: "link", run: copyLink },
          { id: "timeline", label: t("timeline.whole"), icon: "timeline", run: () => void go(`/s/${sessionId}/timeline`) },
          { id: "files", label: t("files.open"), icon: "files", run: () => void go(`/s/${sessionId}/files`) },
          { id: "keys", label: t("keys.title"), icon: "command", run: openKeys },
        ]}
      />
      {isRenaming && session && <RenameDialog session={session} onClose={() => setRenaming(false)} />}
    </header>
  );
}

function Live({ sessionId }: { sessionId: string }) {
  const { t } = useTranslation();
  const run = useFromLog(sessionId, liveRun);
  const now = useNow(1000, Boolean(run));
  if (!run) return null;
  const ms = now - Date.parse(run.startedAt ?? run.queuedAt);
  return (
    <span className={styles.live}>
      <Dot status={run.status === "queued" ? "starting" : run.status} label={t(`status.${run.status}`)} />
      <span className={styles.status}>{t(`status.${run.status}`)}</span>
      <span className={styles.time}>{duration(Math.floor(ms / 1000) * 1000).replace(/\.0/, "")}</span>
      <span className={styles.shortTime} aria-hidden="true">{age(ms)}</span>
    </span>
  );
}
