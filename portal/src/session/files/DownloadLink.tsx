import { useState } from "react";
import { call, send } from "../../api/client";
import { useTranslation } from "react-i18next";
import { Button } from "../../parts/Button";
import { Icon } from "../../parts/Icon";
import button from "../../parts/Button.module.css";
import { toast } from "../../parts/toast";
import { sentenceOf } from "../../words/server";

/** A file's bytes, by the browser's own download. */
export function DownloadLink({ href, label }: { href: string; label: string }) {
  return (
    <a className={`${button.button} ${button.quiet} ${button.square}`} href={href} download aria-label={label} title={label}>
      <Icon name="download" />
    </a>
  );
}

/** A PDF in the browser's own viewer, in a tab that knows nothing of this one. Where there is no viewer, it is a download. */
export function ViewerLink({ href }: { href: string }) {
  const { t } = useTranslation();
  return <a className={`${button.button} ${button.primary}`} href={`${href}&inline=true`} target="_blank" rel="noopener noreferrer">{t("files.openPdf")}</a>;
}

/** A folder as a zip: refusals are told here, because a browser's download would only say that it failed. */
export function ZipButton({ href, label }: { href: string; label: string }) {
  const { t } = useTranslation();
  const [isAsking, setAsking] = useState(false);
  const download = async (): Promise<void> => {
    setAsking(true);
    try {
      await send(href, { method: "HEAD" }).catch(() => call(href));
      const link = Object.assign(document.createElement("a"), { href, download: "" });
      link.click();
    } catch (error) {
      toast(t("files.notDownloaded"), sentenceOf(error));
    }
    setAsking(false);
  };
  return <Button look="quiet" icon="download" disabled={isAsking} onClick={() => void download()} aria-label={label} title={label}>{t("files.zip")}</Button>;
}
