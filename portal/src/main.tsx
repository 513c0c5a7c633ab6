import "./look/tokens.css";
import "./look/ground.css";
import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { queries } from "./api/queries";
import { followServer } from "./live";
import { applyLook, shareBetweenTabs, useLocal } from "./local";
import { StrictStyles } from "./parts/StrictStyles";
import { Toasts } from "./parts/Toasts";
import { Portal } from "./routes";
import { beginWords, languageOfBrowser } from "./words/words";

applyLook(useLocal.getState());
useLocal.subscribe(applyLook);
shareBetweenTabs();
followServer();

const root = document.getElementById("root");
if (!root) throw new Error("The page has no place for the portal.");

void beginWords(useLocal.getState().language ?? languageOfBrowser()).then(() =>
  createRoot(root).render(
    <StrictMode>
      <StrictStyles>
        <QueryClientProvider client={queries}>
          <Portal />
          <Toasts />
        </QueryClientProvider>
      </StrictStyles>
    </StrictMode>,
  ),
);
