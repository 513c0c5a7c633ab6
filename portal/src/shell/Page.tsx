import type { ReactNode } from "react";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { IconButton } from "../parts/Button";
import styles from "./Page.module.css";
import { useShell } from "./place";

interface PageProps {
  title: string;
  note?: string;
  actions?: ReactNode;
  isWide?: boolean;
  /** The content takes the height that there is, and scrolls inside. */
  isFilled?: boolean;
  children: ReactNode;
}

/** The frame of every page but the chat: a title, what can be done, and content that scrolls. */
export function Page({ title, note, actions, isWide, isFilled, children }: PageProps) {
  const { t } = useTranslation();
  const { openSidebar } = useShell();
  useTitle(title);
  return (
    <div className={styles.page}>
      <header className={styles.head}>
        <IconButton className={styles.menu} icon="menu" label={t("shell.openSessions")} onClick={openSidebar} />
        <h1 className={styles.title}>{title}</h1>
        {actions}
      </header>
      <div className={styles.scroll}>
        <div className={isFilled ? styles.filled : isWide ? styles.wide : styles.content}>
          {note && <p className={styles.note}>{note}</p>}
          {children}
        </div>
      </div>
    </div>
  );
}

export function useTitle(title: string): void {
  const { t } = useTranslation();
  useEffect(() => {
    document.title = title ? `${title} · ${t("shell.brand")}` : t("shell.brand");
  }, [title, t]);
}
