import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { useParams, useSearchParams } from "react-router";
import { AskCard } from "../ask/AskCard";
import { askOfItem } from "../ask/asked";
import { call } from "../api/client";
import { useSession } from "../api/queries";
import { useKeys } from "../keys";
import { feedOf, outbox, readOlder, useFromLog, useOpenFeed, useOutbox } from "../live";
import { useLocal, type Panel as PanelName } from "../local";
import type { AskedItem } from "../log/events";
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
  const feed = useOpenFeed(sessionId);
  const liveRunId = useFromLog(sessionId, (state) => state.liveRunId);
  const queue = useFromLog(sessionId, (state) => state.queue);
  const provider = useFromLog(sessionId, ({ runs, liveRunId: live }) => runs.get(live ?? [...runs.keys()].at(-1) ?? "")?.provider);
  const session = useSession(sessionId);
  const [search] = useSearchParams();
  const conversation = useRef<ConversationHandle>(null);
  const [editing, setEditing] = useState<string | null>(null);
  const [panel, choose] = usePanel(sessionId);
  const pick = usePick(useLocal((local) => local.agent) ?? (provider ?? session.data?.provider ?? undefined));
  const uploads = useUploads(sessionId);
  const sending = useSending(sessionId);
  const asks = useAsks(sessionId);
  const isRunning = liveRunId !== null;
  useTitle(session.data?.title ?? "");
  useMarkRead(sessionId);
  useRunNews(sessionId);
  const prompt = (text: string, multitask: "enqueue" | "interrupt" = "enqueue"): void => {
    sendPrompt(sessionId, { prompt: text, options: pick.options, multitask, ...(pick.provider && { provider: pick.provider }), ...uploads.take() });
    conversation.current?.follow();
  };
  const stop = useCallback(() => {
    if (!liveRunId) return;
    call(`/api/runs/${liveRunId}/stop`, { method: "POST", body: {} }).catch((error: unknown) => toast(t("run.notStopped"), sentenceOf(error)));
  }, [liveRunId, t]);
  if (feed.failure && !feed.isLoaded) return <div className={styles.failed}><ErrorNote error={feed.failure} onRetry={() => location.reload()} /></div>;
  return (
    <div className={styles.chat}>
      <Header sessionId={sessionId} session={session.data} />
      <div className={styles.body} data-panel={panel !== "none"}>
        <div className={styles.column}>
          {feed.isLoaded ? (
            <Conversation ref={conversation} sessionId={sessionId} sending={sending} at={Number(search.get("at")) || null} hasOlder={feed.prevCursor !== null} onOlder={() => readOlder(sessionId)} />
          ) : (
            <div className={styles.loading}><Skeleton lines={5} /></div>
          )}
          <div className={styles.foot}>
            {asks.slice(0, 1).map((ask) => <AskCard key={ask.requestId} ask={ask} hasKeys />)}
            {asks.length > 1 && <p className={styles.more}>{t("ask.others", { count: asks.length - 1 })}</p>}
            <Now sessionId={sessionId} />
            <Queue sessionId={sessionId} waiting={queue} editing={editing} onEdited={() => setEditing(null)} isCompact />
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
              onEditLast={() => setEditing(queue.at(-1) ?? null)}
              isUploading={uploads.isBusy}
              filesOf={sessionId}
              {...(uploads.canUpload && { onFiles: uploads.add })}
            >
              <AgentPicker pick={pick} />
            </Composer>
          </div>
        </div>
        {panel !== "none" && <Panel sessionId={sessionId} panel={panel} onChoose={choose} />}
        <PanelTabs sessionId={sessionId} panel={panel} onChoose={choose} />
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

function useSending(sessionId: string): PromptEntry[] {
  const entries = useOutbox();
  const prompts = useMemo(() => entries.filter((entry): entry is PromptEntry => entry.kind === "prompt" && entry.sessionId === sessionId), [entries, sessionId]);
  // how far the log is matters only while a prompt waits for its event
  const seq = useFromLog(sessionId, (state) => (prompts.length > 0 ? state.seq : 0));
  useEffect(() => outbox.confirm(sessionId, seq), [sessionId, seq]);
  return useMemo(() => prompts.filter((entry) => !isTold(entry, sessionId, seq)), [prompts, sessionId, seq]);
}

function useAsks(sessionId: string) {
  const runs = useFromLog(sessionId, (state) => state.runs);
  const rowsSeq = useFromLog(sessionId, (state) => state.rowsSeq);
  return useMemo(
    () =>
      [...feedOf(sessionId).state.items.values()]
        .filter((item): item is AskedItem => item.kind === "asked" && item.decision === null)
        .map((item) => askOfItem(item, sessionId, runs.get(item.runId ?? "")?.status === "parked")),
    // the state itself changes with each word: these say when its questions do
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [runs, rowsSeq, sessionId],
  );
}
