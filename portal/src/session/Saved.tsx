import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { call } from "../api/client";
import { keys, useWorker } from "../api/queries";
import { useFromLog } from "../live";
import { Ago } from "../parts/Ago";
import { Button } from "../parts/Button";
import { Dialog } from "../parts/Dialog";
import { ErrorNote } from "../parts/Note";
import { Icon } from "../parts/Icon";
import { iconOfSaving, useSaving, wordsOfSaving } from "../saving";
import styles from "./Saved.module.css";
import { Why } from "./Why";

interface SavedProps {
  sessionId: string;
  /** Say it in words on a phone, too. */
  isWhole?: boolean;
}

/** Up to where the work is saved, always in sight; a click says why, and saves now. */
export function Saved({ sessionId, isWhole }: SavedProps) {
  const { t } = useTranslation();
  const worker = useWorker(sessionId).data;
  const saving = useSaving(sessionId);
  const savedAt = useFromLog(sessionId, (state) => state.saved?.at);
  const [isOpen, setOpen] = useState(false);
  if (saving.state === "unknown") return null;
  const words = wordsOfSaving(saving, t);
  const look = saving.state === "saved" ? "" : saving.state === "failed" || saving.state === "lost" ? styles.ill : styles.soft;
  return (
    <>
      <button type="button" className={`${styles.saved} ${look}`} onClick={() => setOpen(true)} aria-label={words}>
        <Icon name={iconOfSaving(saving)} />
        <span className={isWhole ? "" : styles.words}>{words}</span>
      </button>
      {isOpen && (
        <Dialog isOpen onClose={() => setOpen(false)} title={t("saved.title")}>
          <p>{words}{savedAt && <> · <Ago at={savedAt} isSaid /></>}</p>
          {worker && <SaveNow sessionId={sessionId} />}
          {worker === null && saving.state === "saved" && <p className={styles.soft}>{t("saved.noWorker")}</p>}
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
    onSuccess: () => Promise.all([keys.worker(sessionId), keys.session(sessionId)].map((queryKey) => cache.invalidateQueries({ queryKey }))),
  });
  return (
    <div className={styles.now}>
      <Button icon="saved" disabled={save.isPending} onClick={() => save.mutate()}>{t(save.isPending ? "saved.saving" : "saved.now")}</Button>
      {save.isSuccess && <span role="status">{t("saved.done")}</span>}
      {save.error && <ErrorNote error={save.error} />}
    </div>
  );
}
