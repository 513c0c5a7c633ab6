import { Toast as Base } from "@base-ui/react/toast";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { useStore } from "zustand";
import { IconButton } from "./Button";
import { told } from "./toast";
import styles from "./Toast.module.css";

const manager = Base.createToastManager();
const SHOWN_MS = 5000;

/** Said to screen readers too. */
export function ToastCards() {
  const waiting = useStore(told, (state) => state.waiting);
  useEffect(() => {
    if (waiting.length === 0) return;
    for (const { title, detail } of waiting) manager.add(detail ? { title, description: detail } : { title });
    told.setState({ waiting: [] });
  }, [waiting]);
  return (
    <Base.Provider toastManager={manager} timeout={SHOWN_MS}>
      <Base.Portal>
        <Base.Viewport className={styles.viewport}>
          <Cards />
        </Base.Viewport>
      </Base.Portal>
    </Base.Provider>
  );
}

function Cards() {
  const { toasts } = Base.useToastManager();
  const { t } = useTranslation();
  return toasts.map((one) => (
    <Base.Root key={one.id} toast={one} className={styles.card}>
      <div className={styles.words}>
        <Base.Title className={styles.title} />
        <Base.Description className={styles.detail} />
      </div>
      <Base.Close render={<IconButton icon="cross" label={t("common.close")} />} />
    </Base.Root>
  ));
}
