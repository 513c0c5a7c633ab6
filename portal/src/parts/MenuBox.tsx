import { Menu as Base } from "@base-ui/react/menu";
import type { ReactElement } from "react";
import { Icon, type IconName } from "./Icon";
import styles from "./Menu.module.css";

export interface MenuChoice {
  id: string;
  label: string;
  icon?: IconName;
  isIll?: boolean;
  isDisabled?: boolean;
  note?: string;
  run: () => void;
}

export interface MenuProps {
  trigger: ReactElement;
  choices: MenuChoice[];
  side?: "bottom" | "top";
  isOpenAtOnce?: boolean;
}

export function MenuBox({ trigger, choices, side = "bottom", isOpenAtOnce = false }: MenuProps) {
  return (
    <Base.Root defaultOpen={isOpenAtOnce}>
      <Base.Trigger render={trigger} />
      <Base.Portal>
        <Base.Positioner side={side} align="end" sideOffset={4} className={styles.positioner}>
          <Base.Popup className={styles.popup}>
            {choices.map((choice) => (
              <Base.Item
                key={choice.id}
                disabled={choice.isDisabled ?? false}
                onClick={choice.run}
                className={`${styles.item} ${choice.isIll ? styles.ill : ""}`}
              >
                {choice.icon && <Icon name={choice.icon} />}
                <span className={styles.label}>{choice.label}</span>
                {choice.note && <span className={styles.note}>{choice.note}</span>}
              </Base.Item>
            ))}
          </Base.Popup>
        </Base.Positioner>
      </Base.Portal>
    </Base.Root>
  );
}
