import { lazy, Suspense } from "react";
import { useStore } from "zustand";
import { told } from "./toast";

const ToastCards = lazy(() => import("./ToastCards").then((module) => ({ default: module.ToastCards })));

/** Read with the first toast. */
export function Toasts() {
  const isUsed = useStore(told, (state) => state.isUsed);
  return isUsed ? <Suspense fallback={null}><ToastCards /></Suspense> : null;
}
