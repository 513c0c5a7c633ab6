import { CSPProvider } from "@base-ui/react/csp-provider";
import type { ReactNode } from "react";

/** The policy allows no style element, so the parts write none. */
export function StrictStyles({ children }: { children: ReactNode }) {
  return <CSPProvider disableStyleElements>{children}</CSPProvider>;
}
