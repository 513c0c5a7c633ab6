import { useTranslation } from "react-i18next";
import { useWhy } from "../api/queries";
import type { Why as WhyAnswer } from "../api/types";
import type { RunStatus } from "../log/events";
import { Ago } from "../parts/Ago";
import { Dialog } from "../parts/Dialog";
import { ErrorNote, Skeleton } from "../parts/Note";
import { dateTime } from "../words/numbers";
import { whyOf } from "../words/server";
import { useWho } from "./who";
import styles from "./Why.module.css";

type Kind = "runs" | "workers" | "human-requests";

export function WhyDialog({ kind, id, onClose }: { kind: Kind; id: string; onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Dialog isOpen onClose={onClose} title={t("why.title")}>
      <Why kind={kind} id={id} />
    </Dialog>
  );
}

/** Why something is as it is: what it waits for and until when; who has it and what happened, a click away. */
export function Why({ kind, id }: { kind: Kind; id: string }) {
  const { t } = useTranslation();
  const why = useWhy(kind, id);
  const { blocked, said } = useBlocked(why.data);
  if (why.error) return <ErrorNote error={why.error} onRetry={() => void why.refetch()} />;
  if (!why.data) return <Skeleton />;
  const { nextDeadline } = why.data;
  return (
    <div className={styles.why}>
      <p className={styles.reason}>{whyOf(why.data)}</p>
      {blocked.length > 0 && <ul className={styles.blocked}>{blocked.map((one) => <li key={one}>{one}</li>)}</ul>}
      {nextDeadline && <p className={styles.soft}>{t("why.next", { when: dateTime(nextDeadline) })}</p>}
      <Details why={why.data} said={said} />
    </div>
  );
}

function Details({ why: { owner, nextJob, history }, said }: { why: WhyAnswer; said: readonly string[] }) {
  const { t } = useTranslation();
  const who = useWho(owner ?? null);
  if (!owner && !nextJob && history.length === 0 && said.length === 0) return null;
  return (
    <details className={styles.details}>
      <summary>{t("why.details")}</summary>
      {said.map((one) => <p key={one} className={styles.soft} lang="en">{one}</p>)}
      <dl className={styles.facts}>
        {nextJob && <><dt>{t("why.job")}</dt><dd><code>{nextJob}</code></dd></>}
        {owner && <><dt>{t("why.owner")}</dt><dd>{owner.startsWith("user:") ? who : owner}</dd></>}
      </dl>
      {history.length > 0 && (
        <ol className={styles.history} aria-label={t("why.history")}>
          {history.slice(0, 12).map((one, at) => (
            <li key={at}><code>{one.what}</code><span className={styles.ago}><Ago at={one.at} isSaid /></span></li>
          ))}
        </ol>
      )}
    </details>
  );
}

const RUN_BEFORE = /^run [0-9a-f-]{36}, which is (\w+)$/;
const REQUEST = /^request [0-9a-f-]{36}: /;

interface Blocked {
  blocked: string[];
  /** What the server says in its own language only. */
  said: string[];
}

/** What the next step waits for, without the ids that only programs need, and without what the reason says. */
function useBlocked(why: WhyAnswer | undefined): Blocked {
  const { t, i18n } = useTranslation();
  const found: Blocked = { blocked: [], said: [] };
  for (const one of why?.blockedBy ?? []) {
    const status = RUN_BEFORE.exec(one)?.[1];
    if (status) found.blocked.push(t("why.before", { status: t(`status.${status as RunStatus}`) }));
    else if (REQUEST.test(one)) found.blocked.push(one.replace(REQUEST, ""));
    else if (one !== why?.reason) (i18n.language === "en" ? found.blocked : found.said).push(one);
  }
  return found;
}
