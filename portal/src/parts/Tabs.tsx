import { Tabs as Base } from "@base-ui/react/tabs";
import type { ReactNode } from "react";
import styles from "./Tabs.module.css";

interface Tab {
  value: string;
  label: string;
}

export function Tabs({ label, value, tabs, onChange, children }: { label: string; value: string; tabs: Tab[]; onChange: (value: string) => void; children: ReactNode }) {
  return (
    <Base.Root value={value} onValueChange={(next) => onChange(String(next))} className={styles.root}>
      <Base.List className={styles.list} aria-label={label}>
        {tabs.map((tab) => (
          <Base.Tab key={tab.value} value={tab.value} className={styles.tab}>{tab.label}</Base.Tab>
        ))}
      </Base.List>
      <Base.Panel value={value} className={styles.panel}>{children}</Base.Panel>
    </Base.Root>
  );
}
