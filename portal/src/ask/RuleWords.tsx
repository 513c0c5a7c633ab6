import { useTranslation } from "react-i18next";
import type { Rule } from "../api/types";
import { isKind } from "../session/verbs";

/** What a rule covers: what is done in a word, and to what; a rule without a pattern covers all of it. */
export function RuleWords({ rule: { toolKind, commandPattern, pathPattern } }: { rule: Partial<Rule> }) {
  const { t } = useTranslation();
  const verb = toolKind && isKind(toolKind) ? t(`tool.${toolKind}`) : toolKind;
  const patterns = [commandPattern, pathPattern].filter(Boolean);
  return (
    <span>
      {verb} {patterns.length > 0 ? patterns.map((one) => <code key={one}>{one} </code>) : t("ask.anything")}
    </span>
  );
}
