import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { call } from "../api/client";
import { keys, useWorker } from "../api/queries";
import type { Saved as SavedFacts } from "../api/types";
import type { SavedState } from "../log/events";
import { Ago } from "../parts/Ago";
import { Button } from "../parts/Button";
import { Dialog } from "../parts/Dialog";
import { ErrorNote } from "../parts/Note";
import { Icon } from "../parts/Icon";
import styles from "./Saved.module.css";
import { Why } from "./Why";

interface SavedProps {
  sessionId: string;
  /** What the session's row says, where the server tells it. */
  facts: SavedFacts | null | undefined;
  log: SavedState | null;
  /** Say it in words on a phone, too. */
  isWhole?: boolean;
}

/** Up to where the work is saved, always in sight; a click says why, and saves now. */
export function Saved({ sessionId, facts, log, isWhole }: SavedProps) {
  const { t } = useTranslation();
  const worker = useWorker(sessionId).data;
  const [isOpen, setOpen] = useState(false);
  const sync = worker?.sync;
  const number = facts?.savedUpToRunNumber ?? sync?.savedUpToRunNumber ?? log?.runNumber;
  const unsaved = facts?.unsavedFiles ?? sync?.unsavedFiles ?? 0;
  const isFailed = (sync?.failures ?? 0) > 0 || Boolean(log?.failure);
  const isSaved = facts?.isSaved ?? sync?.isSaved ?? (log ? !log.failure : null);
  if (isSaved === null && number == null && !log) return null;
  const isPartly = unsaved > 0 || isSaved === false;
  const words = isFailed
    ? t("saved.failed")
    : unsaved > 0
      ? t("saved.unsaved", { count: unsaved })
      : number != null
        ? t("saved.upTo", { number })
        : t(isSaved === false ? "saved.dirty" : "saved.saved");
  return (
    <>
      <button type="button" className={`${styles.saved} ${isFailed ? styles.ill : isPartly ? styles.soft : ""}`} onClick={() => setOpen(true)} aria-label={words}>
        <Icon name={isFailed ? "warn" : isPartly ? "clock" : "check"} />
        <span className={isWhole ? "" : styles.words}>{words}</span>
      </button>
      {isOpen && (
        <Dialog isOpen onClose={() => setOpen(false)} title={t("saved.title")}>
          <p>{words}{log && <> · <Ago at={log.at} /></>}</p>
          {worker ? <SaveNow sessionId={sessionId} /> : <p className={styles.soft}>{t("saved.noWorker")}</p>}
          {worker && <Why kind="workers" id={sessionId} />}
        </Dialog>
      )}
    </>
  );
}

function SaveNow({ sessionId }: { sessionId: string }) {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const save = useMutation({
    mutationFn: () => call(`/api/session-workers/${sessionId}/sync`, { method: "POST", body: {} }),
    onSuccess: () => cache.invalidateQueries({ queryKey: keys.worker(sessionId) }),
  });
  return (
    <div className={styles.now}>
      <Button icon="saved" disabled={save.isPending} onClick={() => save.mutate()}>{t(save.isPending ? "saved.saving" : "saved.now")}</Button>
      {save.isSuccess && <span role="status">{t("saved.done")}</span>}
      {save.error && <ErrorNote error={save.error} />}
    </div>
  );
}
