/** Every address of the portal. Pages other than the chat are read when they are opened. */
import { lazy } from "react";
import { BrowserRouter, Route, Routes } from "react-router";
import { Chat } from "./session/Chat";
import { NewPrompt } from "./session/NewPrompt";
import { Broken } from "./shell/Broken";
import { NotFound } from "./shell/NotFound";
import { Shell } from "./shell/Shell";

const FilesPage = lazy(() => import("./session/files/FilesPage").then((m) => ({ default: m.FilesPage })));
const TimelinePage = lazy(() => import("./session/timeline/TimelinePage").then((m) => ({ default: m.TimelinePage })));
const Inbox = lazy(() => import("./inbox/Inbox").then((m) => ({ default: m.Inbox })));
const UsagePage = lazy(() => import("./usage/Usage").then((m) => ({ default: m.UsagePage })));
const Settings = lazy(() => import("./settings/Settings").then((m) => ({ default: m.Settings })));
const Operations = lazy(() => import("./ops/Operations").then((m) => ({ default: m.Operations })));

export function Portal() {
  return (
    <Broken>
      <BrowserRouter>
        <Routes>
          <Route element={<Shell />}>
            <Route index element={<NewPrompt />} />
            <Route path="s/:session" element={<Chat />} />
            <Route path="s/:session/files/*" element={<FilesPage />} />
            <Route path="s/:session/timeline" element={<TimelinePage />} />
            <Route path="inbox" element={<Inbox />} />
            <Route path="usage" element={<UsagePage />} />
            <Route path="settings" element={<Settings />} />
            <Route path="ops/:area?" element={<Operations />} />
            <Route path="*" element={<NotFound />} />
          </Route>
        </Routes>
      </BrowserRouter>
    </Broken>
  );
}
