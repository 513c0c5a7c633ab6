import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { useParams, useSearchParams } from "react-router";
import { AskCard } from "../ask/AskCard";
import { askOfItem } from "../ask/asked";
import { call } from "../api/client";
import { useSession } from "../api/queries";
import { useKeys } from "../keys";
import { outbox, readOlder, useFeed, useOutbox } from "../live";
import { useLocal, type Panel as PanelName } from "../local";
import type { AskedItem, SessionState } from "../log/events";
import { isTold, type PromptEntry } from "../log/outbox";
import { ErrorNote, Skeleton } from "../parts/Note";
import { toast } from "../parts/toast";
import { sentenceOf } from "../words/server";
import { useTitle } from "../shell/Page";
import { AgentPicker, usePick } from "./AgentPicker";
import styles from "./Chat.module.css";
import { Composer } from "./Composer";
import { Conversation, type ConversationHandle } from "./Conversation";
import { Header } from "./Header";
import { useMarkRead, useRunNews } from "./news";
import { Now } from "./Now";
import { Panel } from "./Panel";
import { PanelTabs } from "./PanelTabs";
import { Queue } from "./Queue";
import { sendPrompt } from "./sending";
import { useUploads } from "./uploads";
import { Uploads } from "./Uploads";

const PANELS: PanelName[] = ["todos", "files", "timeline", "queue"];

export function Chat() {
  const { session = "" } = useParams();
  return <OpenSession key={session} sessionId={session} />;
}

/** One session: its log, what it asks, what waits, and where to write. */
function OpenSession({ sessionId }: { sessionId: string }) {
  const { t } = useTranslation();
  const { feed, state } = useFeed(sessionId);
  const session = useSession(sessionId);
  const [search] = useSearchParams();
  const conversation = useRef<ConversationHandle>(null);
  const [editing, setEditing] = useState<string | null>(null);
  const [panel, choose] = usePanel(sessionId);
  const last = state.liveRunId ?? [...state.runs.keys()].at(-1);
  const pick = usePick(useLocal((local) => local.agent) ?? ((last ? state.runs.get(last)?.provider : undefined) ?? session.data?.provider ?? undefined));
  const uploads = useUploads(sessionId);
  const sending = useSending(sessionId, state);
  const asks = useAsks(sessionId, state);
  const isRunning = state.liveRunId !== null;
  useTitle(session.data?.title ?? "");
  useMarkRead(sessionId, state.seq);
  useRunNews(state);
  const prompt = (text: string, multitask: "enqueue" | "interrupt" = "enqueue"): void => {
    sendPrompt(sessionId, { prompt: text, options: pick.options, multitask, ...(pick.provider && { provider: pick.provider }), ...uploads.take() });
    conversation.current?.follow();
  };
  const stop = useCallback(() => {
    if (!state.liveRunId) return;
    call(`/api/runs/${state.liveRunId}/stop`, { method: "POST", body: {} }).catch((error: unknown) => toast(t("run.notStopped"), sentenceOf(error)));
  }, [state.liveRunId, t]);
  if (feed.failure && !feed.isLoaded) return <div className={styles.failed}><ErrorNote error={feed.failure} onRetry={() => location.reload()} /></div>;
  return (
    <div className={styles.chat}>
      <Header sessionId={sessionId} session={session.data} state={state} />
      <div className={styles.body} data-panel={panel !== "none"}>
        <div className={styles.column}>
          {feed.isLoaded ? (
            <Conversation ref={conversation} state={state} sending={sending} at={Number(search.get("at")) || null} hasOlder={feed.prevCursor !== null} onOlder={() => readOlder(sessionId)} />
          ) : (
            <div className={styles.loading}><Skeleton lines={5} /></div>
          )}
          <div className={styles.foot}>
            {asks.slice(0, 1).map((ask) => <AskCard key={ask.requestId} ask={ask} hasKeys />)}
            {asks.length > 1 && <p className={styles.more}>{t("ask.others", { count: asks.length - 1 })}</p>}
            <Now state={state} />
            <Queue sessionId={sessionId} waiting={state.queue} editing={editing} onEdited={() => setEditing(null)} isCompact />
            <Uploads uploads={uploads} />
            <Composer
              draftOf={sessionId}
              takesFocus={asks.length === 0}
              isReady={feed.isLoaded}
              isRunning={isRunning}
              placeholder={t(isRunning ? "composer.behind" : "composer.placeholder")}
              onSend={(text) => prompt(text)}
              onInterrupt={(text) => prompt(text, "interrupt")}
              onStop={stop}
              onEditLast={() => setEditing(state.queue.at(-1) ?? null)}
              isUploading={uploads.isBusy}
              filesOf={sessionId}
              {...(uploads.canUpload && { onFiles: uploads.add })}
            >
              <AgentPicker pick={pick} />
            </Composer>
          </div>
        </div>
        {panel !== "none" && <Panel sessionId={sessionId} state={state} panel={panel} onChoose={choose} />}
        <PanelTabs state={state} panel={panel} onChoose={choose} />
      </div>
    </div>
  );
}

function usePanel(sessionId: string): [PanelName | "none", (panel: PanelName | "none") => void] {
  const [search, setSearch] = useSearchParams();
  const kept = useLocal((local) => local.panels[sessionId] ?? local.panels.last ?? "none");
  const setPanel = useLocal((local) => local.setPanel);
  const asked = search.get("panel") as PanelName | null;
  const isPhone = matchMedia("(max-width: 699px)").matches;
  const panel = asked && PANELS.includes(asked) ? asked : isPhone ? "none" : kept;
  const choose = useCallback(
    (next: PanelName | "none") => {
      setPanel(sessionId, next);
      setPanel("last", next);
      setSearch(next === "none" ? {} : { panel: next }, { replace: true });
    },
    [sessionId, setPanel, setSearch],
  );
  const toggle = (name: PanelName) => () => choose(panel === name ? "none" : name);
  useKeys({ panelTodos: toggle("todos"), panelFiles: toggle("files"), panelTimeline: toggle("timeline"), panelQueue: toggle("queue") });
  return [panel, choose];
}

function useSending(sessionId: string, state: SessionState): PromptEntry[] {
  const entries = useOutbox();
  useEffect(() => outbox.confirm(sessionId, state.seq), [sessionId, state.seq]);
  return useMemo(
    () => entries.filter((entry): entry is PromptEntry => entry.kind === "prompt" && entry.sessionId === sessionId && !isTold(entry, sessionId, state.seq)),
    [entries, sessionId, state.seq],
  );
}

function useAsks(sessionId: string, state: SessionState) {
  return useMemo(
    () =>
      [...state.items.values()]
        .filter((item): item is AskedItem => item.kind === "asked" && item.decision === null)
        .map((item) => askOfItem(item, sessionId, state.runs.get(item.runId ?? "")?.status === "parked")),
    [state.items, state.runs, sessionId],
  );
}

