import type { ButtonHTMLAttributes, Ref } from "react";
import styles from "./Button.module.css";
import { Icon, type IconName } from "./Icon";

type Look = "primary" | "plain" | "quiet" | "ill";

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  look?: Look;
  icon?: IconName;
  /** Shown as the key that does the same. */
  shortcut?: string;
  ref?: Ref<HTMLButtonElement>;
}

export function Button({ look = "plain", icon, shortcut, className = "", children, ref, ...rest }: ButtonProps) {
  return (
    <button ref={ref} type="button" className={`${styles.button} ${styles[look]} ${className}`} {...rest}>
      {icon && <Icon name={icon} />}
      {children}
      {shortcut && <kbd className={styles.key} aria-hidden="true">{shortcut}</kbd>}
    </button>
  );
}

interface IconButtonProps extends Omit<ButtonProps, "children" | "icon"> {
  icon: IconName;
  label: string;
}

/** A sign alone: its name is said and shown as its title. */
export function IconButton({ icon, label, className = "", ref, look = "quiet", shortcut, ...rest }: IconButtonProps) {
  return (
    <button
      ref={ref}
      type="button"
      aria-label={label}
      title={shortcut ? `${label} (${shortcut})` : label}
      className={`${styles.button} ${styles[look]} ${styles.square} ${className}`}
      {...rest}
    >
      <Icon name={icon} />
    </button>
  );
}
