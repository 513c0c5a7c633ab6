import { cloneElement, lazy, Suspense, useState, type ReactElement } from "react";
import type { MenuChoice, MenuProps } from "./MenuBox";

export type { MenuChoice };

const MenuBox = lazy(() => import("./MenuBox").then((module) => ({ default: module.MenuBox })));

/** The page is drawn with the button alone; what opens is read right after, and opens at once if it was asked for meanwhile. */
export function Menu(props: MenuProps) {
  const [isWanted, want] = useState(false);
  const trigger = cloneElement(props.trigger as ReactElement<{ onClick: () => void }>, { onClick: () => want(true) });
  return <Suspense fallback={trigger}><MenuBox {...props} isOpenAtOnce={isWanted} /></Suspense>;
}
