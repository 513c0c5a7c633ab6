import { useId } from "react";
import { TextField } from "../parts/Field";
import styles from "./AskCard.module.css";
import type { FormField, Value } from "./form";

interface FormInputProps {
  field: FormField;
  value: Value | undefined;
  error: string;
  /** Its label is the question, which already stands above. */
  isLabelSilent: boolean;
  onChange: (value: Value) => void;
}

export function FormInput({ field, value, error, isLabelSilent, onChange }: FormInputProps) {
  const { label, note, isRequired } = field;
  if (field.kind === "boolean") {
    return (
      <label className={styles.choice}>
        <input type="checkbox" checked={value === true} onChange={(event) => onChange(event.target.checked)} />
        <span>{label}{note && <span className={styles.where}> {note}</span>}</span>
      </label>
    );
  }
  if (field.kind === "choice" || field.kind === "choices") return <Choices field={field} value={value} error={error} isLabelSilent={isLabelSilent} onChange={onChange} />;
  const isNumber = field.kind === "number" || field.kind === "integer";
  const rows = field.kind === "long" ? 4 : field.kind === "json" ? 5 : undefined;
  return (
    <TextField
      label={label}
      note={note}
      error={error}
      isRequired={isRequired}
      type={isNumber ? "number" : "text"}
      isMono={field.kind === "json"}
      isLabelSilent={isLabelSilent}
      {...(rows && { rows })}
      value={String(value ?? "")}
      onChange={onChange}
    />
  );
}

function Choices({ field, value, error, isLabelSilent, onChange }: FormInputProps) {
  const id = useId();
  const isMany = field.kind === "choices";
  const chosen = Array.isArray(value) ? value : [String(value ?? "")];
  const pick = (one: string): void => {
    if (!isMany) onChange(one);
    else onChange(chosen.includes(one) ? chosen.filter((other) => other !== one) : [...chosen.filter(Boolean), one]);
  };
  return (
    <fieldset className={styles.rules} aria-label={isLabelSilent ? field.label : undefined} aria-describedby={error ? `${id}-error` : undefined}>
      {!isLabelSilent && <legend className={styles.fieldName}>{field.label}</legend>}
      {field.note && <p className={styles.where}>{field.note}</p>}
      {field.choices.map((choice) => (
        <label key={choice.value} className={styles.choice}>
          <input type={isMany ? "checkbox" : "radio"} name={id} checked={chosen.includes(choice.value)} onChange={() => pick(choice.value)} />
          <span>{choice.label}</span>
        </label>
      ))}
      {error && <p id={`${id}-error`} className={styles.error}>{error}</p>}
    </fieldset>
  );
}
