import { lazy, Suspense } from "react";
import type { DialogProps } from "./DialogBox";

const DialogBox = lazy(() => import("./DialogBox").then((module) => ({ default: module.DialogBox })));

/** Read with the first dialog. */
export function Dialog(props: DialogProps) {
  return props.isOpen ? <Suspense fallback={null}><DialogBox {...props} /></Suspense> : null;
}
