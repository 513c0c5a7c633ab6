/** Every address of the portal. Pages other than the chat are read when they are opened. */
import type { ComponentType } from "react";
import { createBrowserRouter } from "react-router";
import { Chat } from "./session/Chat";
import { NewPrompt } from "./session/NewPrompt";
import { Broken } from "./shell/Broken";
import { NotFound } from "./shell/NotFound";
import { Shell } from "./shell/Shell";

const page =
  <M,>(read: () => Promise<M>, pick: (module: M) => ComponentType) =>
  async () => ({ Component: pick(await read()) });

export const router = createBrowserRouter([
  {
    Component: Shell,
    ErrorBoundary: Broken,
    children: [
      { index: true, Component: NewPrompt },
      { path: "s/:session", Component: Chat },
      { path: "s/:session/files/*", lazy: page(() => import("./session/files/FilesPage"), (m) => m.FilesPage) },
      { path: "s/:session/timeline", lazy: page(() => import("./session/timeline/TimelinePage"), (m) => m.TimelinePage) },
      { path: "inbox", lazy: page(() => import("./inbox/Inbox"), (m) => m.Inbox) },
      { path: "usage", lazy: page(() => import("./usage/Usage"), (m) => m.UsagePage) },
      { path: "settings", lazy: page(() => import("./settings/Settings"), (m) => m.Settings) },
      { path: "ops", lazy: page(() => import("./ops/Operations"), (m) => m.Operations) },
      { path: "ops/:area", lazy: page(() => import("./ops/Operations"), (m) => m.Operations) },
      { path: "*", Component: NotFound },
    ],
  },
]);
