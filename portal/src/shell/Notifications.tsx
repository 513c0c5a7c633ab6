import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { usePending } from "../api/queries";
import { useLocal } from "../local";
import { announce } from "./announce";

/** Tell of new questions: aloud while a tab of ours is seen, by a notification while none is. A click opens, never answers. */
export function Notifications() {
  const { t } = useTranslation();
  const { data } = usePending();
  const go = useNavigate();
  const known = useRef<Set<string> | null>(null);
  useEffect(() => {
    if (!data) return;
    const fresh = data.items.filter((one) => known.current && !known.current.has(one.requestId));
    known.current = new Set(data.items.map((one) => one.requestId));
    const newest = fresh[0];
    if (!newest) return;
    announce(t("ask.announced", { title: newest.title }));
    const isHidden = document.visibilityState === "hidden";
    if (!isHidden || !useLocal.getState().notifies || !("Notification" in window) || Notification.permission !== "granted") return;
    const told = new Notification(t("ask.needsYou"), { body: `${newest.sessionTitle}: ${newest.title}`, tag: newest.requestId });
    told.onclick = () => {
      window.focus();
      void go(`/s/${newest.sessionId}`);
      told.close();
    };
  }, [data, go, t]);
  return null;
}
