import { Dialog as Base } from "@base-ui/react/dialog";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { IconButton } from "./Button";
import styles from "./Dialog.module.css";

export interface DialogProps {
  isOpen: boolean;
  onClose: () => void;
  title: string;
  children: ReactNode;
  /** `top`: near the upper edge and without a heading, for palettes. `side`: a drawer from the left. */
  place?: "middle" | "top" | "side";
}

export function DialogBox({ onClose, title, children, place = "middle" }: DialogProps) {
  const { t } = useTranslation();
  return (
    <Base.Root open onOpenChange={(open) => !open && onClose()}>
      <Base.Portal>
        <Base.Backdrop className={styles.shade} />
        <Base.Popup className={`${styles.popup} ${styles[place]}`}>
          <div className={place === "middle" ? styles.head : "unseen"}>
            <Base.Title className={styles.title}>{title}</Base.Title>
            {place === "middle" && <Base.Close render={<IconButton icon="cross" label={t("common.close")} />} />}
          </div>
          {children}
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  );
}
