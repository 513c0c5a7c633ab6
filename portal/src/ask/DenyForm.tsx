import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { Button } from "../parts/Button";
import styles from "./AskCard.module.css";
import type { Ask } from "./asked";
import { reply } from "./reply";

/** Deny, and tell the agent why, so that it can do something else. */
export function DenyForm({ ask, onClose }: { ask: Ask; onClose: () => void }) {
  const { t } = useTranslation();
  const [reason, setReason] = useState("");
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => field.current?.focus(), []);
  return (
    <form className={styles.form} onSubmit={(event) => (event.preventDefault(), reply(ask, { decision: "deny", reason }), onClose())}>
      <label>
        <span className={styles.fieldName}>{t("ask.reason")}</span>
        <textarea ref={field} className={styles.reason} rows={2} value={reason} placeholder={t("ask.reasonHint")} onChange={(event) => setReason(event.target.value)} onKeyDown={(event) => event.key === "Escape" && onClose()} />
      </label>
      <div className={styles.actions}>
        <Button look="primary" type="submit" disabled={!reason.trim()}>{t("ask.deny")}</Button>
        <Button onClick={onClose}>{t("common.cancel")}</Button>
      </div>
    </form>
  );
}
