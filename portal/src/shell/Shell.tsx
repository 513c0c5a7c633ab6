import { lazy, Suspense, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Outlet, useLocation, useNavigate } from "react-router";
import { useKeys } from "../keys";
import { onRefusal } from "../live";
import { Dialog } from "../parts/Dialog";
import { toast } from "../parts/toast";
import { giveBack } from "../session/sending";
import { Splitter } from "../parts/Splitter";
import { useLocal } from "../local";
import { sentenceOf } from "../words/server";
import { Announcer } from "./Announcer";
import { Notifications } from "./Notifications";
import { ShellContext } from "./place";
import styles from "./Shell.module.css";
import { Sidebar } from "./Sidebar";
import { SignedOut } from "./SignedOut";

const Palette = lazy(() => import("./Palette").then((module) => ({ default: module.Palette })));
const KeyHelp = lazy(() => import("./KeyHelp").then((module) => ({ default: module.KeyHelp })));

type Open = "none" | "palette" | "keys" | "sidebar";

/** The frame of every page: sessions at the side, the page, and what floats over both. */
export function Shell() {
  const { t } = useTranslation();
  const [open, setOpen] = useState<Open>("none");
  const width = useLocal((local) => local.widths.sidebar);
  const go = useNavigate();
  const place = useLocation();
  useEffect(() => setOpen("none"), [place.pathname]);
  useEffect(
    () =>
      onRefusal((entry, problem) => {
        if (entry.kind === "prompt") giveBack(entry);
        toast(t(entry.kind === "prompt" ? "composer.refused" : "ask.refused"), sentenceOf(problem));
      }),
    [t],
  );
  useKeys({
    palette: () => setOpen("palette"),
    search: () => setOpen("palette"),
    help: () => setOpen("keys"),
    newPrompt: () => void go("/"),
    goInbox: () => void go("/inbox"),
    goSessions: () => void go("/"),
    goUsage: () => void go("/usage"),
    goOperations: () => void go("/ops"),
  });
  return (
    <ShellContext value={{ openSidebar: () => setOpen("sidebar"), openPalette: () => setOpen("palette"), openKeys: () => setOpen("keys") }}>
      <div className={styles.shell}>
        <a className={styles.skip} href="#main">{t("shell.skip")}</a>
        <aside className={styles.side} aria-label={t("shell.sessions")}>
          <Splitter name="sidebar" edge="end" value={width} min={220} max={420} label={t("shell.resizeSidebar")}>
            <Sidebar />
          </Splitter>
        </aside>
        <main id="main" className={styles.main} tabIndex={-1}>
          <Suspense fallback={null}>
            <Outlet />
          </Suspense>
        </main>
      </div>
      <Dialog isOpen={open === "sidebar"} onClose={() => setOpen("none")} title={t("shell.sessions")} place="side">
        <Sidebar />
      </Dialog>
      <Suspense fallback={null}>
        {open === "palette" && <Palette onClose={() => setOpen("none")} onKeys={() => setOpen("keys")} />}
        {open === "keys" && <KeyHelp onClose={() => setOpen("none")} />}
      </Suspense>
      <SignedOut />
      <Announcer />
      <Notifications />
    </ShellContext>
  );
}
