/** Files that go with the next prompt. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { call, Problem, send } from "../api/client";
import { toast } from "../parts/toast";

export interface Upload {
  id: string;
  name: string;
  path: string | null;
}

export interface UploadList {
  canUpload: boolean;
  items: Upload[];
  add: (files: File[]) => void;
  remove: (id: string) => void;
  /** What a start body says of them; the list is empty afterwards. */
  take: () => { attachments?: string[] };
}

export function useUploads(sessionId: string): UploadList {
  const { t } = useTranslation();
  const canUpload = useCanUpload(sessionId);
  const [items, setItems] = useState<Upload[]>([]);
  const drop = (id: string): void => setItems((before) => before.filter((one) => one.id !== id));
  const put = async (file: File): Promise<void> => {
    const id = crypto.randomUUID();
    setItems((before) => [...before, { id, name: file.name, path: null }]);
    const body = new FormData();
    body.append("file", file, file.name);
    try {
      const { path } = await call<{ path: string }>(`/api/sessions/${sessionId}/uploads`, { method: "POST", body });
      setItems((before) => before.map((one) => (one.id === id ? { ...one, path } : one)));
    } catch (error) {
      drop(id);
      toast(t("composer.notUploaded", { name: file.name }), error instanceof Problem ? error.detail : t("problem.offline"));
    }
  };
  return {
    canUpload,
    items,
    add: (files) => files.forEach((file) => void put(file)),
    remove: drop,
    take: () => {
      const attachments = items.flatMap((one) => (one.path ? [one.path] : []));
      setItems([]);
      return attachments.length > 0 ? { attachments } : {};
    },
  };
}

/** A server without uploads says 404 to any method. */
function useCanUpload(sessionId: string): boolean {
  const { data } = useQuery({
    queryKey: ["can-upload"],
    queryFn: () => send(`/api/sessions/${sessionId}/uploads`).then(() => true, (error: unknown) => error instanceof Problem && error.status === 405),
    staleTime: Number.POSITIVE_INFINITY,
  });
  return data ?? false;
}
