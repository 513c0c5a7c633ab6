import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { call } from "../api/client";
import { orNull } from "../api/queries";
import type { CoveringRules, Rule } from "../api/types";
import { Button } from "../parts/Button";
import { Dialog } from "../parts/Dialog";
import { Actions, TextField } from "../parts/Field";
import { ErrorNote, Skeleton } from "../parts/Note";
import styles from "./AskCard.module.css";
import { optionFor, type Ask } from "./asked";
import { reply } from "./reply";
import { RuleWords } from "./RuleWords";

/** Always: the agent's own memory for this session, or a rule of ours for all of them, narrowest first and editable. */
export function AlwaysDialog({ ask, onClose }: { ask: Ask; onClose: () => void }) {
  const { t } = useTranslation();
  const rules = useQuery({
    queryKey: ["covering", ask.requestId],
    queryFn: () => orNull(call<CoveringRules>(`/api/human-loop/${ask.requestId}/rules`)),
  });
  const option = optionFor(ask, "allow_always");
  const proposed = rules.data?.items ?? [];
  return (
    <Dialog isOpen onClose={onClose} title={t("ask.always")}>
      {option && (
        <div className={styles.always}>
          <p>{t("ask.alwaysSession", { option: option.name })}</p>
          <Button look="primary" onClick={() => (reply(ask, { decision: "allow_always" }), onClose())}>{t("ask.alwaysHere")}</Button>
        </div>
      )}
      {rules.isPending && <Skeleton lines={2} />}
      {proposed.length > 0 && <RuleChoice ask={ask} rules={proposed} onClose={onClose} />}
    </Dialog>
  );
}

function RuleChoice({ ask, rules, onClose }: { ask: Ask; rules: Partial<Rule>[]; onClose: () => void }) {
  const { t } = useTranslation();
  const [chosen, setChosen] = useState(0);
  const [changed, setChanged] = useState<Record<number, string>>({});
  const [failure, setFailure] = useState<unknown>(null);
  const rule = rules[chosen];
  const pattern = changed[chosen] ?? rule?.commandPattern ?? rule?.pathPattern ?? "";
  const make = async (): Promise<void> => {
    if (!rule) return;
    const { toolKind, commandPattern, pathPattern, appId, userId } = rule;
    const patterns = commandPattern ? { commandPattern: pattern } : pathPattern ? { pathPattern: pattern } : {};
    try {
      await call("/api/human-loop/rules", { method: "POST", body: { effect: "allow", toolKind, appId, userId, ...patterns } });
      reply(ask, { decision: "allow" });
      onClose();
    } catch (error) {
      setFailure(error);
    }
  };
  return (
    <fieldset className={styles.rules}>
      <legend className={styles.fieldName}>{t("ask.rule")}</legend>
      {rules.map((one, at) => (
        <label key={at} className={styles.rule}>
          <input type="radio" name="rule" checked={at === chosen} onChange={() => setChosen(at)} />
          <RuleWords rule={one} />
        </label>
      ))}
      {(rule?.commandPattern || rule?.pathPattern) && <TextField label={t("ask.pattern")} isMono value={pattern} onChange={(value) => setChanged({ ...changed, [chosen]: value })} />}
      {failure !== null && <ErrorNote error={failure} />}
      <Actions><Button onClick={() => void make()}>{t("ask.makeRule")}</Button></Actions>
    </fieldset>
  );
}
