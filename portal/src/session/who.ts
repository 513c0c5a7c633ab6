/** The name of who did something: a user, a rule, time, or the system. */
import { useTranslation } from "react-i18next";
import { create } from "zustand";
import { useMe } from "../api/queries";

/** Names that answers of the server brought along. */
export const useNames = create<{ names: Record<string, string> }>(() => ({ names: {} }));

export function learnNames(users: Record<string, string> | undefined): void {
  if (users && Object.keys(users).length > 0) useNames.setState(({ names }) => ({ names: { ...names, ...users } }));
}

export function useWho(author: string | null): string {
  const { t } = useTranslation();
  const me = useMe().data;
  const names = useNames((state) => state.names);
  if (!author) return "";
  const [kind, id = ""] = author.split(/:(.*)/s);
  if (kind === "user") return me?.userId === id ? t("who.you") : (names[id] ?? t("who.user"));
  if (kind === "rule") return t("who.rule");
  return kind === "timeout" ? t("who.timeout") : t("who.system");
}
