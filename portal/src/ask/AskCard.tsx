import { lazy, Suspense, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { useKeys } from "../keys";
import { useOutbox } from "../live";
import { Button, IconButton } from "../parts/Button";
import { Menu } from "../parts/Menu";
import styles from "./AskCard.module.css";
import { AskSubject } from "./AskSubject";
import { optionFor, type Ask } from "./asked";
import { Countdown } from "./Countdown";
import { DenyForm } from "./DenyForm";
import { reply } from "./reply";

const AlwaysDialog = lazy(() => import("./AlwaysDialog").then((module) => ({ default: module.AlwaysDialog })));
const AskForm = lazy(() => import("./AskForm").then((module) => ({ default: module.AskForm })));

/** Keys act only on a card that could be read. */
const READABLE_MS = 500;

interface AskCardProps {
  ask: Ask;
  /** Its keys act; of several cards, one has them. */
  hasKeys: boolean;
  heading?: string;
}

/** What the agent asks, whole, and the answers to it. The same in the chat and in the inbox. */
export function AskCard({ ask, hasKeys, heading }: AskCardProps) {
  const { t } = useTranslation();
  const isSending = useOutbox().some((entry) => entry.kind === "answer" && entry.body.requestId === ask.requestId);
  const [open, setOpen] = useState<"none" | "deny" | "always">("none");
  const isReadable = useReadable(ask.requestId);
  const isPermission = ask.asks === "permission";
  const hasAlways = isPermission && optionFor(ask, "allow_always") !== undefined;
  const answers = !isSending && ask.mayDecide;
  const hasLiveKeys = hasKeys && isReadable && isPermission && answers && open === "none";
  useKeys(
    {
      allow: () => reply(ask, { decision: "allow" }),
      allowAlways: () => hasAlways && setOpen("always"),
      deny: () => reply(ask, { decision: "deny" }),
      denyWithReason: () => setOpen("deny"),
    },
    hasLiveKeys,
  );
  return (
    <section role="group" className={styles.card} aria-label={t("ask.label", { title: ask.title })}>
      <header className={styles.head}>
        <span className={styles.badge}>{t("ask.needsYou")}</span>
        <h2 className={styles.title} title={ask.title}>{heading ?? ask.title}</h2>
        <Countdown ask={ask} />
      </header>
      <AskSubject ask={ask} />
      {ask.isParked && <p className={styles.note}>{t("ask.parked")}</p>}
      {!ask.mayDecide && <p className={styles.note}>{t("ask.notYours")}</p>}
      {isSending && <p className={styles.note} role="status">{t("ask.sending")}</p>}
      {answers && isPermission && open !== "deny" && (
        <div className={styles.actions}>
          <Button look="primary" shortcut="A" {...(hasLiveKeys && { "aria-keyshortcuts": "a" })} onClick={() => reply(ask, { decision: "allow" })}>{t("ask.allow")}</Button>
          <Button shortcut="D" {...(hasLiveKeys && { "aria-keyshortcuts": "d" })} onClick={() => reply(ask, { decision: "deny" })}>{t("ask.deny")}</Button>
          {hasAlways && <Button className={styles.wide ?? ""} shortcut="⇧A" onClick={() => setOpen("always")}>{t("ask.always")}</Button>}
          <Button className={styles.wide ?? ""} look="quiet" shortcut="R" onClick={() => setOpen("deny")}>{t("ask.denyReason")}</Button>
          <span className={styles.phone}>
            <Menu
              side="top"
              trigger={<IconButton icon="more" look="plain" label={t("ask.more")} />}
              choices={[
                ...(hasAlways ? [{ id: "always", label: t("ask.always"), run: () => setOpen("always") }] : []),
                { id: "reason", label: t("ask.denyReason"), run: () => setOpen("deny") },
              ]}
            />
          </span>
        </div>
      )}
      {answers && isPermission && open === "deny" && <DenyForm ask={ask} onClose={() => setOpen("none")} />}
      {answers && !isPermission && <Suspense fallback={null}><AskForm ask={ask} /></Suspense>}
      {open === "always" && <Suspense fallback={null}><AlwaysDialog ask={ask} onClose={() => setOpen("none")} /></Suspense>}
    </section>
  );
}

function useReadable(requestId: string): boolean {
  const [readable, setReadable] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setReadable(requestId), READABLE_MS);
    return () => clearTimeout(timer);
  }, [requestId]);
  return readable === requestId;
}
