import { createContext, useContext } from "react";

interface ShellActions {
  openSidebar: () => void;
  openPalette: () => void;
  openKeys: () => void;
}

export const ShellContext = createContext<ShellActions>({
  openSidebar: () => undefined,
  openPalette: () => undefined,
  openKeys: () => undefined,
});

export const useShell = (): ShellActions => useContext(ShellContext);
