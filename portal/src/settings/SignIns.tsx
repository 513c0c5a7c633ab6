import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import { orNull } from "../api/queries";
import type { Page, SignIn } from "../api/types";
import { Ago } from "../parts/Ago";
import { Button } from "../parts/Button";
import { SettingRow } from "../parts/Field";
import { toast } from "../parts/toast";
import { sentenceOf } from "../words/server";
import styles from "./Settings.module.css";

/** Browsers that are signed in as me; ending one signs it out at once. */
export function SignIns() {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const signIns = useQuery({ queryKey: ["my-sign-ins"], queryFn: () => orNull(call<Page<SignIn>>("/api/me/sign-ins")) });
  if (!signIns.data) return null;
  const end = (id: string): void => {
    void call(`/api/me/sign-ins/${id}`, { method: "DELETE" })
      .then(() => cache.invalidateQueries({ queryKey: ["my-sign-ins"] }))
      .catch((error: unknown) => toast(t("settings.notEnded"), sentenceOf(error)));
  };
  return (
    <section className={styles.card} aria-labelledby="sign-ins">
      <h2 id="sign-ins">{t("settings.signIns")}</h2>
      {signIns.data.items.map((one) => (
        <SettingRow key={one.signInId} title={browserOf(one.userAgent) || t("settings.browser")} {...(one.current && { note: t("settings.thisBrowser") })}>
          <span className={styles.soft}><Ago at={one.lastUsedAt} isSaid /></span>
          {!one.current && <Button look="ill" onClick={() => end(one.signInId)}>{t("settings.end")}</Button>}
        </SettingRow>
      ))}
    </section>
  );
}

/** The browser and the system in few words: "Firefox · Linux". */
function browserOf(agent: string): string {
  const browser = /Edg|OPR|Firefox|Chrome|Safari/.exec(agent)?.[0].replace("Edg", "Edge").replace("OPR", "Opera");
  const system = /Android|iPhone|iPad|Windows|Mac OS|Linux/.exec(agent)?.[0];
  return [browser, system].filter(Boolean).join(" · ");
}
