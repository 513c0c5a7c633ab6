import { useId, type ReactNode } from "react";
import styles from "./Field.module.css";

interface TextFieldProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
  note?: string;
  error?: string;
  type?: "text" | "number" | "search" | "email" | "url" | "date";
  rows?: number;
  isRequired?: boolean;
  isMono?: boolean;
  /** The words already stand above: the label only names the field. */
  isLabelSilent?: boolean;
}

export function TextField({ label, value, onChange, note, error, type = "text", rows, isRequired, isMono, isLabelSilent }: TextFieldProps) {
  const id = useId();
  const shared = {
    id,
    value,
    required: isRequired,
    "aria-label": isLabelSilent ? label : undefined,
    "aria-invalid": Boolean(error),
    "aria-describedby": note || error ? `${id}-note` : undefined,
    className: `${styles.input} ${isMono ? styles.mono : ""}`,
  };
  return (
    <div className={styles.field}>
      {!isLabelSilent && <label htmlFor={id}>{label}{isRequired && <span className={styles.required} aria-hidden="true"> *</span>}</label>}
      {rows ? (
        <textarea rows={rows} {...shared} onChange={(event) => onChange(event.target.value)} />
      ) : (
        <input type={type} {...shared} onChange={(event) => onChange(event.target.value)} />
      )}
      {(error || note) && <p id={`${id}-note`} className={error ? styles.error : styles.note}>{error || note}</p>}
    </div>
  );
}

/** A row of settings: words at the left, what sets it at the right. */
export function SettingRow({ title, note, children }: { title: string; note?: string; children: ReactNode }) {
  return (
    <div className={styles.setting}>
      <div>
        <div className={styles.settingTitle}>{title}</div>
        {note && <p className={styles.note}>{note}</p>}
      </div>
      {children}
    </div>
  );
}

export function Actions({ children }: { children: ReactNode }) {
  return <div className={styles.actions}>{children}</div>;
}
