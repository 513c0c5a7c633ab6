import { useTranslation } from "react-i18next";
import { NavLink, useNavigate } from "react-router";
import { countOf } from "../api/pages";
import { useMe, usePending } from "../api/queries";
import { IconButton } from "../parts/Button";
import { Icon, type IconName } from "../parts/Icon";
import { Connection } from "./Connection";
import { useShell } from "./place";
import { SessionList } from "./SessionList";
import styles from "./Sidebar.module.css";

/** Sessions, and the way to every other page. */
export function Sidebar() {
  const { t } = useTranslation();
  const go = useNavigate();
  const { openPalette } = useShell();
  const pending = usePending();
  const me = useMe();
  const mayOperate = !me.data || me.data.role !== "member";
  return (
    <div className={styles.sidebar}>
      <div className={styles.brand}>
        <NavLink to="/" end className={styles.name}>
          <img src="/assets/icon.svg" alt="" width={22} height={22} />
          {t("shell.brand")}
        </NavLink>
        <Connection />
        <IconButton icon="search" label={t("shell.search")} shortcut="/" onClick={openPalette} />
        <IconButton icon="plus" label={t("shell.new")} shortcut="N" look="plain" onClick={() => void go("/")} />
      </div>
      <SessionList />
      <nav className={styles.places} aria-label={t("shell.places")}>
        <Place to="/inbox" icon="inbox" label={t("shell.inbox")} count={countOf(pending.data)} />
        <Place to="/usage" icon="usage" label={t("shell.usage")} />
        {mayOperate && <Place to="/ops" icon="ops" label={t("shell.operations")} />}
        <Place to="/settings" icon="settings" label={t("shell.settings")} />
      </nav>
    </div>
  );
}

function Place({ to, icon, label, count = "" }: { to: string; icon: IconName; label: string; count?: string }) {
  return (
    <NavLink to={to} className={({ isActive }) => `${styles.place} ${isActive ? styles.here : ""}`}>
      <Icon name={icon} />
      <span className={styles.label}>{label}</span>
      {count && <span className={styles.count}>{count}</span>}
    </NavLink>
  );
}
