import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Button } from "../parts/Button";
import styles from "./AskCard.module.css";
import type { Ask } from "./asked";
import { fieldsOf, initialValues, readAnswers, repeatsTitle, type FormField, type Values } from "./form";
import { FormInput } from "./FormInput";
import { reply } from "./reply";

/** A question as a form made from its JSON Schema; what has no field of its own is written as JSON. */
export function AskForm({ ask }: { ask: Ask }) {
  const { t } = useTranslation();
  const fields: FormField[] = fieldsOf(ask.schema);
  const [values, setValues] = useState<Values>(() => initialValues(fields));
  const [isTried, setTried] = useState(false);
  const { answers, faults } = readAnswers(fields, values);
  const send = (): void => {
    setTried(true);
    if (Object.keys(faults).length === 0) reply(ask, { decision: "answer", answers });
  };
  return (
    <form className={styles.form} onSubmit={(event) => (event.preventDefault(), send())} noValidate>
      {fields.map((field) => {
        const fault = isTried ? faults[field.name] : undefined;
        return (
          <FormInput
            key={field.name}
            field={field}
            value={values[field.name]}
            isLabelSilent={repeatsTitle(field, ask.title)}
            error={fault ? t(`form.${fault.code}`, fault.values) : ""}
            onChange={(value) => setValues({ ...values, [field.name]: value })}
          />
        );
      })}
      <div className={styles.actions}>
        <Button look="primary" type="submit">{t("ask.answer")}</Button>
        <Button onClick={() => reply(ask, { decision: "cancel" })}>{t("ask.skip")}</Button>
      </div>
    </form>
  );
}
