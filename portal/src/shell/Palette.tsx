import { Command } from "cmdk";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { useSessions } from "../api/queries";
import { useLocal } from "../local";
import { Dialog } from "../parts/Dialog";
import { Icon, type IconName } from "../parts/Icon";
import { speak } from "../words/words";
import styles from "./Palette.module.css";

interface Action {
  id: string;
  label: string;
  icon: IconName;
  run: () => void;
}

/** Ctrl K: every page, session and switch by a few letters. */
export function Palette({ onClose, onKeys }: { onClose: () => void; onKeys: () => void }) {
  const { t, i18n } = useTranslation();
  const go = useNavigate();
  const [text, setText] = useState("");
  const sessions = useSessions(text.length > 1 ? { q: text, sort: "activity" } : { sort: "activity" });
  const set = useLocal((local) => local.set);
  const other = i18n.language === "zh" ? "en" : "zh";
  const actions: Action[] = [
    { id: "new", label: t("shell.new"), icon: "plus", run: () => void go("/") },
    { id: "inbox", label: t("shell.inbox"), icon: "inbox", run: () => void go("/inbox") },
    { id: "usage", label: t("shell.usage"), icon: "usage", run: () => void go("/usage") },
    { id: "ops", label: t("shell.operations"), icon: "ops", run: () => void go("/ops") },
    { id: "settings", label: t("shell.settings"), icon: "settings", run: () => void go("/settings") },
    { id: "keys", label: t("keys.title"), icon: "command", run: onKeys },
    { id: "light", label: t("settings.toLight"), icon: "settings", run: () => set({ theme: "light" }) },
    { id: "dark", label: t("settings.toDark"), icon: "settings", run: () => set({ theme: "dark" }) },
    { id: "language", label: t("settings.toOther"), icon: "globe", run: () => (set({ language: other }), void speak(other)) },
  ];
  const act = (run: () => void): void => {
    onClose();
    run();
  };
  const wanted = text.trim().toLowerCase();
  const offered = actions.filter((one) => `${one.label} ${one.id}`.toLowerCase().includes(wanted));
  // the server looks in titles and prompts; for a single letter it is not asked
  const found = (sessions.data?.pages.flatMap((page) => page.items) ?? []).filter((one) => text.length > 1 || one.title.toLowerCase().includes(wanted));
  return (
    <Dialog isOpen onClose={onClose} title={t("palette.title")} place="top">
      <Command label={t("palette.title")} shouldFilter={false} className={styles.command}>
        <Command.Input autoFocus value={text} onValueChange={setText} placeholder={t("palette.placeholder")} className={styles.input} />
        <Command.List className={styles.list}>
          <Command.Empty className={styles.empty}>{t("palette.nothing")}</Command.Empty>
          {offered.length > 0 && (
            <Command.Group heading={t("palette.actions")}>
              {offered.map((one) => (
                <Command.Item key={one.id} value={one.id} onSelect={() => act(one.run)} className={styles.item}>
                  <Icon name={one.icon} />{one.label}
                </Command.Item>
              ))}
            </Command.Group>
          )}
          {found.length > 0 && (
            <Command.Group heading={t("shell.sessions")}>
              {found.map((one) => (
                <Command.Item key={one.sessionId} value={one.sessionId} onSelect={() => act(() => void go(`/s/${one.sessionId}`))} className={styles.item}>
                  <Icon name="chat" />{one.title}
                </Command.Item>
              ))}
            </Command.Group>
          )}
        </Command.List>
      </Command>
    </Dialog>
  );
}
