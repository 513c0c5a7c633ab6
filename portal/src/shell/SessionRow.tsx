import { useQueryClient } from "@tanstack/react-query";
import { memo, useState } from "react";
import { useTranslation } from "react-i18next";
import { NavLink, useNavigate } from "react-router";
import { call } from "../api/client";
import { keys } from "../api/queries";
import type { Session } from "../api/types";
import { savingOf, type Saving } from "../log/saving";
import { IconButton } from "../parts/Button";
import { Icon } from "../parts/Icon";
import { Menu, type MenuChoice } from "../parts/Menu";
import { Dot } from "../parts/Status";
import { toast } from "../parts/toast";
import { Ago } from "../parts/Ago";
import { RenameDialog } from "./RenameDialog";
import { iconOfSaving, useSaving, wordsOfSaving } from "../saving";
import { sentenceOf } from "../words/server";
import { activityOf } from "./sessionGroups";
import styles from "./SessionRow.module.css";

interface SessionRowProps {
  session: Session;
  isWaiting: boolean;
  isOpen: boolean;
}

export const SessionRow = memo(function SessionRow({ session, isWaiting, isOpen }: SessionRowProps) {
  const { t } = useTranslation();
  const [isRenaming, setRenaming] = useState(false);
  const status = isWaiting ? "waiting" : (session.status ?? "idle");
  const isUnread = Boolean(session.unread) && !isOpen;
  return (
    <li className={styles.item}>
      <NavLink to={`/s/${session.sessionId}`} className={`${styles.row} ${isOpen ? styles.open : ""} ${isUnread ? styles.unread : ""}`}>
        <Dot status={status} label={isWaiting ? t("sessions.needsYou") : t(`status.${status}`)} />
        <span className={styles.title}>{session.title || t("sessions.untitled")}</span>
        {isUnread && <span className="unseen">{t("sessions.unread")}</span>}
        {isOpen ? <OpenMark sessionId={session.sessionId} /> : <SavedMark saving={savingOf({ session })} />}
        {isWaiting ? <span className={styles.count}>{session.needsMe || 1}</span> : <span className={styles.age}><Ago at={activityOf(session)} /></span>}
      </NavLink>
      <SessionMenu session={session} onRename={() => setRenaming(true)} />
      {isRenaming && <RenameDialog session={session} onClose={() => setRenaming(false)} />}
    </li>
  );
});

/** Of the open session from the facts of its header, of any other from the row's own. */
function OpenMark({ sessionId }: { sessionId: string }) {
  return <SavedMark saving={useSaving(sessionId)} />;
}

/** Up to which run the work is saved, in the words of the session's header: a sign with the run's number. */
function SavedMark({ saving }: { saving: Saving }) {
  const { t } = useTranslation();
  if (saving.state === "unknown" || saving.state === "nothing") return null;
  const words = wordsOfSaving(saving, t);
  return (
    <span className={styles.saved} title={words}>
      <Icon name={iconOfSaving(saving)} size={12} />
      {saving.run !== null && <span aria-hidden="true">{saving.run}</span>}
      <span className="unseen">{words}</span>
    </span>
  );
}

function SessionMenu({ session, onRename }: { session: Session; onRename: () => void }) {
  const { t } = useTranslation();
  const go = useNavigate();
  const cache = useQueryClient();
  const refresh = () => cache.invalidateQueries({ queryKey: ["sessions"] });
  const change = (body: Record<string, unknown>): void => {
    void call(`/api/sessions/${session.sessionId}`, { method: "PATCH", body }).then(refresh, (error: unknown) => toast(t("sessions.notChanged"), sentenceOf(error)));
  };
  const remove = (): void => {
    if (!confirm(t("sessions.confirmDelete", { title: session.title }))) return;
    void call(`/api/sessions/${session.sessionId}`, { method: "DELETE" }).then(
      () => {
        cache.removeQueries({ queryKey: keys.session(session.sessionId) });
        void refresh();
        void go("/");
      },
      (error: unknown) => toast(t("sessions.notDeleted"), sentenceOf(error)),
    );
  };
  const canPin = session.pinned !== undefined;
  const choices: MenuChoice[] = [
    { id: "rename", label: t("sessions.rename"), icon: "edit", run: onRename },
    ...(canPin
      ? [
          { id: "pin", label: t(session.pinned ? "sessions.unpin" : "sessions.pin"), icon: "pin" as const, run: () => change({ pinned: !session.pinned }) },
          { id: "archive", label: t(session.archived ? "sessions.unarchive" : "sessions.archive"), icon: "archive" as const, run: () => change({ archived: !session.archived }) },
        ]
      : []),
    { id: "delete", label: t("sessions.delete"), icon: "trash", isIll: true, run: remove },
  ];
  return <Menu trigger={<IconButton className={styles.more} icon="more" label={t("sessions.actions", { title: session.title })} />} choices={choices} />;
}
