import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { call } from "../../api/client";
import { queries, useMe } from "../../api/queries";
import type { PutBackAnswer } from "../../api/types";
import { Button } from "../../parts/Button";
import { ErrorNote } from "../../parts/Note";
import styles from "./PutBack.module.css";
import { queryOf, type Which } from "./which";

interface PutBackProps {
  sessionId: string;
  which: Which;
  path: string;
}

/** Make a file of the workspace as the shown state has it, and take that back again. */
export function PutBack({ sessionId, which, path }: PutBackProps) {
  const { t } = useTranslation();
  const mayWrite = useMe().data?.permissions.includes("files:write") ?? false;
  const put = useMutation({
    mutationFn: (body: object) => call<PutBackAnswer>("/api/files/restore", { method: "POST", body }),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ["files", sessionId, "newest"] });
      void queries.invalidateQueries({ queryKey: ["snapshots", sessionId] });
      void queries.invalidateQueries({ queryKey: ["session", sessionId] });
    },
  });
  if (which.kind === "newest" || !mayWrite) return null;
  const undo = put.data?.undo;
  return (
    <div className={styles.put}>
      <p className={styles.words} role="status">
        {put.isPending ? t("files.puttingBack") : put.data ? t("files.putBackDone", { count: put.data.files + put.data.removed }) : t("files.older")}
        {!put.isPending && put.data?.exact === false && <span className={styles.note}>{t("files.putBackNotExact")}</span>}
      </p>
      {undo && !put.isPending && <Button look="quiet" onClick={() => put.mutate(undo)}>{t("files.undo")}</Button>}
      {!put.data && <Button icon="refresh" disabled={put.isPending} onClick={() => put.mutate({ sessionId, ...queryOf(which), path })}>{t("files.putBack")}</Button>}
      {put.error && <div className={styles.error}><ErrorNote error={put.error} /></div>}
    </div>
  );
}
