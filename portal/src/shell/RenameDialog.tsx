import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import { keys } from "../api/queries";
import type { Session } from "../api/types";
import { Button } from "../parts/Button";
import { Dialog } from "../parts/Dialog";
import { Actions, TextField } from "../parts/Field";
import { ErrorNote } from "../parts/Note";

export function RenameDialog({ session, onClose }: { session: Pick<Session, "sessionId" | "title">; onClose: () => void }) {
  const { t } = useTranslation();
  const [title, setTitle] = useState(session.title);
  const [failure, setFailure] = useState<unknown>(null);
  const cache = useQueryClient();
  const save = async (): Promise<void> => {
    try {
      await call(`/api/sessions/${session.sessionId}`, { method: "PATCH", body: { title } });
      await Promise.all([cache.invalidateQueries({ queryKey: ["sessions"] }), cache.invalidateQueries({ queryKey: keys.session(session.sessionId) })]);
      onClose();
    } catch (error) {
      setFailure(error);
    }
  };
  return (
    <Dialog isOpen onClose={onClose} title={t("sessions.rename")}>
      <form onSubmit={(event) => (event.preventDefault(), void save())}>
        <TextField label={t("sessions.title")} value={title} onChange={setTitle} />
        {failure !== null && <ErrorNote error={failure} />}
        <Actions>
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button look="primary" type="submit" disabled={!title.trim()}>{t("common.save")}</Button>
        </Actions>
      </form>
    </Dialog>
  );
}
