/** Short words about what was just done, said to screen readers too. What needs an answer is never a toast. */
import { Toast as Base } from "@base-ui/react/toast";
import { useTranslation } from "react-i18next";
import { IconButton } from "./Button";
import styles from "./Toast.module.css";

const toasts = Base.createToastManager();

export function toast(title: string, detail?: string): void {
  toasts.add(detail ? { title, description: detail } : { title });
}

export function Toasts() {
  return (
    <Base.Provider toastManager={toasts} timeout={5000}>
      <Base.Portal>
        <Base.Viewport className={styles.viewport}>
          <Cards />
        </Base.Viewport>
      </Base.Portal>
    </Base.Provider>
  );
}

function Cards() {
  const { toasts: shown } = Base.useToastManager();
  const { t } = useTranslation();
  return shown.map((one) => (
    <Base.Root key={one.id} toast={one} className={styles.card}>
      <div className={styles.words}>
        <Base.Title className={styles.title} />
        <Base.Description className={styles.detail} />
      </div>
      <Base.Close render={<IconButton icon="cross" label={t("common.close")} />} />
    </Base.Root>
  ));
}
