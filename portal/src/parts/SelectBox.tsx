import { Select as Base } from "@base-ui/react/select";
import { Icon } from "./Icon";
import styles from "./Menu.module.css";

export interface Choice {
  value: string;
  label: string;
  note?: string;
  isDisabled?: boolean;
}

export interface SelectProps {
  label: string;
  value: string;
  choices: Choice[];
  onChange: (value: string) => void;
  isBoxed?: boolean;
}

export function SelectBox({ label, value, choices, onChange, isBoxed }: SelectProps) {
  return (
    <Base.Root items={choices} value={value} onValueChange={(next) => typeof next === "string" && onChange(next)}>
      <Base.Trigger aria-label={label} className={`${styles.trigger} ${isBoxed ? styles.boxed : ""}`}>
        <Base.Value className={styles.value} />
        <Icon name="down" size={12} />
      </Base.Trigger>
      <Base.Portal>
        <Base.Positioner className={styles.positioner} sideOffset={4} alignItemWithTrigger={false}>
          <Base.Popup className={styles.popup}>
            {choices.map((choice) => (
              <Base.Item key={choice.value} value={choice.value} disabled={choice.isDisabled ?? false} className={styles.item}>
                <span className={styles.check}>
                  <Base.ItemIndicator><Icon name="check" /></Base.ItemIndicator>
                </span>
                <span className={styles.label}>
                  <Base.ItemText>{choice.label}</Base.ItemText>
                  {choice.note && <div className={styles.note}>{choice.note}</div>}
                </span>
              </Base.Item>
            ))}
          </Base.Popup>
        </Base.Positioner>
      </Base.Portal>
    </Base.Root>
  );
}
