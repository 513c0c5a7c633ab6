import { useTranslation } from "react-i18next";
import { useMe } from "../api/queries";
import { useLocal, type Theme } from "../local";
import { Button } from "../parts/Button";
import { SettingRow } from "../parts/Field";
import { Select } from "../parts/Select";
import { Switch } from "../parts/Switch";
import { toast } from "../parts/toast";
import { Page } from "../shell/Page";
import { useShell } from "../shell/place";
import { speak, type Language } from "../words/words";
import { SignIns } from "./SignIns";
import { Tokens } from "./Tokens";
import styles from "./Settings.module.css";

const LANGUAGES = { en: "English", zh: "中文" } as const;

/** What a person sets for themselves: language, look, notifications, keys; their tokens and browsers. */
export function Settings() {
  const { t, i18n } = useTranslation();
  const local = useLocal();
  const { openKeys } = useShell();
  const me = useMe().data;
  const notify = async (isOn: boolean): Promise<void> => {
    if (isOn && (await Notification.requestPermission()) !== "granted") return toast(t("settings.notAllowed"));
    local.set({ notifies: isOn });
  };
  return (
    <Page title={t("shell.settings")}>
      <section className={styles.card} aria-labelledby="look">
        <h2 id="look">{t("settings.look")}</h2>
        <SettingRow title={t("settings.language")}>
          <Select label={t("settings.language")} isBoxed value={i18n.language} onChange={(one) => (local.set({ language: one as Language }), void speak(one as Language))} choices={Object.entries(LANGUAGES).map(([value, label]) => ({ value, label }))} />
        </SettingRow>
        <SettingRow title={t("settings.theme")}>
          <Select label={t("settings.theme")} isBoxed value={local.theme} onChange={(theme) => local.set({ theme: theme as Theme })} choices={(["system", "light", "dark"] as const).map((value) => ({ value, label: t(`settings.${value}`) }))} />
        </SettingRow>
        <SettingRow title={t("settings.density")}>
          <Select label={t("settings.density")} isBoxed value={local.density} onChange={(density) => local.set({ density: density as "cosy" })} choices={(["cosy", "compact"] as const).map((value) => ({ value, label: t(`settings.${value}`) }))} />
        </SettingRow>
      </section>
      <section className={styles.card} aria-labelledby="behaviour">
        <h2 id="behaviour">{t("settings.behaviour")}</h2>
        <SettingRow title={t("settings.notify")} note={t("settings.notifyNote")}>
          <Switch label={t("settings.notify")} isOn={local.notifies} onChange={(isOn) => void notify(isOn)} />
        </SettingRow>
        <SettingRow title={t("settings.singleKeys")} note={t("settings.singleKeysNote")}>
          <Switch label={t("settings.singleKeys")} isOn={local.hasSingleKeys} onChange={(hasSingleKeys) => local.set({ hasSingleKeys })} />
        </SettingRow>
        <SettingRow title={t("keys.title")}>
          <Button onClick={openKeys}>{t("settings.show")}</Button>
        </SettingRow>
      </section>
      {me && (
        <section className={styles.card} aria-labelledby="account">
          <h2 id="account">{t("settings.account")}</h2>
          <SettingRow title={me.name} note={t("settings.role", { role: t(`settings.roles.${me.role}`, me.role) })}>
            <form method="post" action="/sign-out"><Button type="submit">{t("settings.signOut")}</Button></form>
          </SettingRow>
        </section>
      )}
      <Tokens />
      <SignIns />
    </Page>
  );
}
