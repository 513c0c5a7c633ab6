import { useTranslation } from "react-i18next";
import { useWhy } from "../api/queries";
import { Ago } from "../parts/Ago";
import { Dialog } from "../parts/Dialog";
import { ErrorNote, Skeleton } from "../parts/Note";
import { dateTime } from "../words/numbers";
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

/** Why something is as it is: what it waits for, what comes next, and what happened. */
export function Why({ kind, id }: { kind: Kind; id: string }) {
  const { t } = useTranslation();
  const why = useWhy(kind, id);
  if (why.error) return <ErrorNote error={why.error} onRetry={() => void why.refetch()} />;
  if (!why.data) return <Skeleton />;
  const { reason, blockedBy, owner, nextDeadline, nextJob, history } = why.data;
  return (
    <div className={styles.why}>
      <p className={styles.reason}>{reason}</p>
      {blockedBy.length > 0 && <ul className={styles.blocked}>{blockedBy.map((one) => <li key={one}>{one}</li>)}</ul>}
      <dl className={styles.facts}>
        {nextDeadline && <><dt>{t("why.next")}</dt><dd>{dateTime(nextDeadline)}</dd></>}
        {nextJob && <><dt>{t("why.job")}</dt><dd>{nextJob}</dd></>}
        {owner && <><dt>{t("why.owner")}</dt><dd>{owner}</dd></>}
      </dl>
      {history.length > 0 && (
        <ol className={styles.history} aria-label={t("why.history")}>
          {history.slice(0, 12).map((one, at) => (
            <li key={at}><code>{one.what}</code><span className={styles.soft}><Ago at={one.at} /></span></li>
          ))}
        </ol>
      )}
    </div>
  );
}
