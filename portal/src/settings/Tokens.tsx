import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import { orNull } from "../api/queries";
import type { Page, PersonalToken } from "../api/types";
import { Ago } from "../parts/Ago";
import { Button } from "../parts/Button";
import { Dialog } from "../parts/Dialog";
import { Actions, SettingRow, TextField } from "../parts/Field";
import { ErrorNote } from "../parts/Note";
import { toast } from "../parts/toast";
import { sentenceOf } from "../words/server";
import styles from "./Settings.module.css";

/** Personal tokens for programs. A new one is shown once. */
export function Tokens() {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const [isMaking, setMaking] = useState(false);
  const tokens = useQuery({ queryKey: ["my-tokens"], queryFn: () => orNull(call<Page<PersonalToken>>("/api/me/tokens")) });
  if (!tokens.data) return null;
  const end = (id: string): void => {
    void call(`/api/me/tokens/${id}`, { method: "DELETE" })
      .then(() => cache.invalidateQueries({ queryKey: ["my-tokens"] }))
      .catch((error: unknown) => toast(t("settings.notEnded"), sentenceOf(error)));
  };
  return (
    <section className={styles.card} aria-labelledby="tokens">
      <div className={styles.head}>
        <h2 id="tokens">{t("settings.tokens")}</h2>
        <Button icon="plus" onClick={() => setMaking(true)}>{t("settings.newToken")}</Button>
      </div>
      {tokens.data.items.length === 0 && <p className={styles.soft}>{t("settings.noTokens")}</p>}
      {tokens.data.items.map((one) => (
        <SettingRow key={one.tokenId} title={one.label} {...(one.scopes && { note: one.scopes.join(", ") })}>
          <span className={styles.soft}><Ago at={one.lastUsedAt ?? one.createdAt} isSaid /></span>
          <Button look="ill" onClick={() => end(one.tokenId)}>{t("settings.end")}</Button>
        </SettingRow>
      ))}
      {isMaking && <NewToken onClose={() => (setMaking(false), void cache.invalidateQueries({ queryKey: ["my-tokens"] }))} />}
    </section>
  );
}

function NewToken({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const [label, setLabel] = useState("");
  const [made, setMade] = useState<string | null>(null);
  const [failure, setFailure] = useState<unknown>(null);
  const make = (): void => {
    call<{ token: string }>("/api/me/tokens", { method: "POST", body: { label } }).then((answer) => setMade(answer.token), setFailure);
  };
  return (
    <Dialog isOpen onClose={onClose} title={t("settings.newToken")}>
      {made ? (
        <>
          <p>{t("settings.tokenOnce")}</p>
          <p className={styles.secret}>{made}</p>
          <Actions><Button look="primary" onClick={onClose}>{t("common.done")}</Button></Actions>
        </>
      ) : (
        <form onSubmit={(event) => (event.preventDefault(), make())}>
          <TextField label={t("settings.label")} value={label} onChange={setLabel} isRequired />
          {failure !== null && <ErrorNote error={failure} />}
          <Actions><Button look="primary" type="submit" disabled={!label.trim()}>{t("settings.make")}</Button></Actions>
        </form>
      )}
    </Dialog>
  );
}
