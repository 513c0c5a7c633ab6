import { useTranslation } from "react-i18next";
import { useProviderOptions, useProviders } from "../api/queries";
import type { Provider } from "../api/types";
import { useLocal } from "../local";
import { Select } from "../parts/Select";
import type { RunOptions } from "../api/types";
import { lackOf } from "../words/server";

export interface Pick {
  provider: string | undefined;
  options: RunOptions;
}

/** The agent, mode and model that the next prompt is for: chosen, else the first agent that is ready.
 * Until the agents are known, a prompt goes to the one that was chosen before. */
export function usePick(last?: string): Pick & { chosen: Provider | undefined; providers: Provider[] } {
  const { data } = useProviders();
  const agent = useLocal((local) => local.agent);
  const mode = useLocal((local) => local.mode);
  const models = useLocal((local) => local.models);
  const providers = data?.items ?? [];
  const ready = providers.filter((one) => one.ready);
  const named = (name: string | null | undefined): Provider | undefined => ready.find((one) => one.name === name);
  const chosen = named(last) ?? named(agent) ?? ready.find((one) => one.name !== "demo") ?? ready[0];
  const options: RunOptions = {};
  if (chosen?.options.includes("mode") && mode) options.mode = mode;
  const model = chosen && models[chosen.name];
  if (model && chosen.options.includes("model")) options.model = model;
  return { provider: chosen?.name ?? (data ? undefined : (last ?? agent ?? undefined)), options, chosen, providers };
}

export function AgentPicker({ pick }: { pick: ReturnType<typeof usePick> }) {
  const { t } = useTranslation();
  const set = useLocal((local) => local.set);
  const mode = useLocal((local) => local.mode);
  const models = useLocal((local) => local.models);
  const { chosen, providers } = pick;
  const details = useProviderOptions(chosen?.name).data;
  if (!chosen) return null;
  const known = details?.models.items ?? [];
  return (
    <>
      <Select
        label={t("composer.agent")}
        value={chosen.name}
        onChange={(agent) => set({ agent })}
        choices={providers.map((one) => ({ value: one.name, label: one.title, isDisabled: !one.ready, ...(!one.ready && { note: lackOf(one) }) }))}
      />
      {known.length > 1 && chosen.options.includes("model") && (
        <Select
          label={t("composer.model")}
          value={models[chosen.name] ?? known.find((one) => one.default)?.id ?? known[0]?.id ?? ""}
          onChange={(model) => set({ models: { ...models, [chosen.name]: model } })}
          choices={known.map((one) => ({ value: one.id, label: one.title }))}
        />
      )}
      {chosen.options.includes("mode") && (
        <Select
          label={t("composer.mode")}
          value={mode ?? (chosen.defaultMode === "auto" ? "auto" : "ask")}
          onChange={(next) => set({ mode: next === "auto" ? "auto" : "ask" })}
          choices={[
            { value: "ask", label: t("composer.asks"), note: t("composer.asksNote") },
            { value: "auto", label: t("composer.auto"), note: t("composer.autoNote") },
          ]}
        />
      )}
    </>
  );
}
