import { Switch as Base } from "@base-ui/react/switch";
import styles from "./Switch.module.css";

export function Switch({ label, isOn, onChange }: { label: string; isOn: boolean; onChange: (isOn: boolean) => void }) {
  return (
    <Base.Root aria-label={label} checked={isOn} onCheckedChange={onChange} className={styles.track}>
      <Base.Thumb className={styles.thumb} />
    </Base.Root>
  );
}
