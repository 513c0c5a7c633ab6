import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { useStore } from "zustand";
import { signedOut } from "../api/client";
import { connection } from "../log/hub";
import { Button } from "../parts/Button";
import { Dialog } from "../parts/Dialog";
import { Actions } from "../parts/Field";

/** The sign-in ended: drafts stay here, and the way back leads to the same page. */
export function SignedOut() {
  const { t } = useTranslation();
  const standing = useStore(connection, (state) => state.standing);
  const [isOut, setOut] = useState(false);
  useEffect(() => {
    const tell = (): void => setOut(true);
    signedOut.addEventListener("signedout", tell);
    return () => signedOut.removeEventListener("signedout", tell);
  }, []);
  if (!isOut && standing !== "signedOut") return null;
  const next = encodeURIComponent(location.pathname + location.search);
  return (
    <Dialog isOpen onClose={() => setOut(false)} title={t("shell.signedOut")}>
      <p>{t("shell.signedOutNote")}</p>
      <Actions>
        <Button look="primary" onClick={() => location.assign(`/sign-in?next=${next}`)}>{t("shell.signIn")}</Button>
      </Actions>
    </Dialog>
  );
}
