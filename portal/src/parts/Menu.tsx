import { lazy, Suspense } from "react";
import type { MenuChoice, MenuProps } from "./MenuBox";

export type { MenuChoice };

const MenuBox = lazy(() => import("./MenuBox").then((module) => ({ default: module.MenuBox })));

/** The page is drawn with the button alone; what opens is read right after. */
export function Menu(props: MenuProps) {
  return <Suspense fallback={props.trigger}><MenuBox {...props} /></Suspense>;
}
