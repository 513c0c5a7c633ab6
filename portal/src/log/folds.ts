/** What each type of event does to the state. */
import type {
  AskedItem,
  AskedToolCall,
  AskOption,
  Decision,
  Envelope,
  FileDiff,
  FormSchema,
  Reason,
  RunStatus,
  TextItem,
  TodoItem,
  ToolItem,
  ToolStatus,
  Usage,
} from "./events";
import type { Draft } from "./reduce";

type Fold = (draft: Draft, event: Envelope) => void;

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const textOrNull = (value: unknown): string | null => (typeof value === "string" ? value : null);
const withTexts = <Name extends string>(name: Name, value: unknown): Partial<Record<Name, string[]>> => {
  const found = Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
  return found.length > 0 ? ({ [name]: found } as Record<Name, string[]>) : {};
};
const numberOrNull = (value: unknown): number | null => (typeof value === "number" ? value : null);
const isObject = (value: unknown): value is object => typeof value === "object" && value !== null && !Array.isArray(value);
/** The objects of a list: an agent may put anything else between them. */
const list = <T extends object>(value: unknown): T[] => (Array.isArray(value) ? (value.filter(isObject) as T[]) : []);
const objectOrNull = <T extends object>(value: unknown): T | null => (isObject(value) ? (value as T) : null);
const common = (event: Envelope, id: string) => ({
  id,
  firstSeq: event.seq,
  lastSeq: event.seq,
  runId: event.runId ?? null,
  at: event.at,
});

const queued: Fold = (draft, event) => {
  const runId = event.runId;
  if (!runId) return;
  if (!draft.runs.has(runId)) draft.runs.set(runId, {
    runId,
    provider: text(event.data.provider),
    author: event.author,
    status: "queued",
    attempt: event.attempt ?? 0,
    prompt: text(event.data.prompt),
    ...withTexts("attachments", event.data.attachments),
    queuedAt: event.at,
    startedAt: null,
    endedAt: null,
    reason: null,
    nextAttemptAt: null,
  });
  const isNext = draft.liveRunId === null && draft.queue.length === 0;
  if (isNext || draft.liveRunId === runId) return takeTurn(draft, event, runId);
  if (!draft.queue.includes(runId)) draft.queue.push(runId);
};

/** The prompt stands in the conversation from when its turn comes, not from when it was typed. */
function takeTurn(draft: Draft, event: Envelope, runId: string): void {
  draft.queue = draft.queue.filter((one) => one !== runId);
  draft.liveRunId = runId;
  const run = draft.runs.get(runId);
  if (!run || draft.items.has(`prompt:${runId}`)) return;
  draft.put({ ...common(event, `prompt:${runId}`), kind: "prompt", runId, text: run.prompt, author: run.author, ...(run.attachments && { attachments: run.attachments }) });
}

const queueEdited: Fold = (draft, event) => {
  const { runId, data } = event;
  if (!runId) return;
  if (typeof data.prompt === "string") draft.changeRun(runId, { prompt: data.prompt });
  if (data.moved === true && draft.queue.includes(runId)) {
    const others = draft.queue.filter((one) => one !== runId);
    const ahead = (numberOrNull(data.queuePosition) ?? 0) - (draft.liveRunId ? 1 : 0);
    draft.queue = [...others.slice(0, Math.max(0, ahead)), runId, ...others.slice(Math.max(0, ahead))];
  }
  const prompt = draft.items.get(`prompt:${runId}`);
  if (prompt?.kind === "prompt" && typeof data.prompt === "string") draft.put({ ...prompt, text: data.prompt });
};

const started: Fold = (draft, event) => {
  const runId = event.runId;
  if (!runId) return;
  takeTurn(draft, event, runId);
  draft.worker = null;
  const run = draft.run(runId);
  draft.changeRun(runId, {
    status: "running",
    attempt: event.attempt ?? run?.attempt ?? 1,
    startedAt: run?.startedAt ?? event.at,
    nextAttemptAt: null,
  });
};

const moves =
  (status: RunStatus): Fold =>
  (draft, event) => {
    draft.changeRun(event.runId, { status: (textOrNull(event.data.status) as RunStatus | null) ?? status });
    if (status === "parked") notice(draft, event);
  };

const retrying: Fold = (draft, event) => {
  draft.changeRun(event.runId, {
    status: "retrying",
    nextAttemptAt: textOrNull(event.data.nextAttemptAt),
    reason: (event.data.reason as Reason | undefined) ?? null,
  });
  endOpenItems(draft, event);
  notice(draft, event);
};

const finished: Fold = (draft, event) => {
  const { runId, data } = event;
  if (!runId) return;
  const run = draft.run(runId);
  const status = text(data.status) as RunStatus;
  const reason = (data.reason as Reason | undefined) ?? null;
  endOpenItems(draft, event);
  if (draft.items.has(`run:${runId}`)) return; // an executor may report an end that comes too late
  draft.queue = draft.queue.filter((one) => one !== runId);
  draft.changeRun(runId, { status, endedAt: event.at, reason });
  if (draft.liveRunId !== runId && !draft.items.has(`prompt:${runId}`)) return;
  if (draft.liveRunId === runId) draft.liveRunId = null;
  draft.put({
    ...common(event, `run:${runId}`),
    kind: "run",
    runId,
    status,
    reason,
    usage: (data.usage as Usage | undefined) ?? null,
    stopReason: textOrNull(data.stopReason),
    startedAt: run?.startedAt ?? null,
  });
};

/** Nothing of a run goes on after its end, whatever its agent forgot to say. */
function endOpenItems(draft: Draft, event: Envelope): void {
  for (const item of draft.items.values()) {
    if (item.runId !== (event.runId ?? null)) continue;
    if ((item.kind === "answer" || item.kind === "thought") && !item.isDone) draft.put({ ...item, isDone: true });
    if (item.kind === "tool" && !item.endedAt) draft.put({ ...item, endedAt: event.at });
  }
}

const delta: Fold = (draft, event) => {
  const { data } = event;
  const role = text(data.role);
  const id = `${role}:${event.runId ?? ""}:${text(data.messageId)}`;
  const before = draft.items.get(id);
  if (role === "user") {
    const said = before?.kind === "prompt" ? before.text : "";
    const beginning = before?.kind === "prompt" ? before : { ...common(event, id), author: event.author };
    if (draft.items.has(`prompt:${event.runId ?? ""}`)) return;
    draft.put({ ...beginning, kind: "prompt", text: said + text(data.text), lastSeq: event.seq });
    return;
  }
  const item = before as TextItem | undefined;
  if (item) draft.grow(item, text(data.text));
  else {
    const kind = role === "thought" ? "thought" : "answer";
    draft.put({ ...common(event, id), kind, text: text(data.text), isDone: false });
  }
};

const stop: Fold = (draft, event) => {
  for (const role of ["assistant", "thought"]) {
    const id = `${role}:${event.runId ?? ""}:${text(event.data.messageId)}`;
    const item = draft.items.get(id);
    if (item && (item.kind === "answer" || item.kind === "thought"))
      draft.put({ ...item, isDone: true, lastSeq: event.seq });
  }
};

const tool: Fold = (draft, event) => {
  const { data } = event;
  const toolCallId = text(data.toolCallId);
  const id = `tool:${event.runId ?? ""}:${toolCallId}`;
  const known = draft.items.get(id);
  const before: ToolItem =
    known?.kind === "tool"
      ? known
      : {
          ...common(event, id),
          kind: "tool",
          toolCallId,
          title: "",
          toolKind: "other",
          status: "pending",
          diffs: [],
          locations: [],
          endedAt: null,
          waitedMs: 0,
          waitsSince: null,
        };
  const status = (textOrNull(data.status) as ToolStatus | null) ?? before.status;
  const isOver = status === "completed" || status === "failed";
  draft.put({
    ...before,
    title: text(data.title) || before.title,
    toolKind: text(data.kind) || before.toolKind,
    status,
    input: data.input ?? before.input,
    output: data.output ?? before.output,
    diffs: Array.isArray(data.diffs) ? list<FileDiff>(data.diffs) : before.diffs,
    locations: Array.isArray(data.locations) ? list<{ path?: string }>(data.locations).map((one) => text(one.path)) : before.locations,
    endedAt: isOver ? (before.endedAt ?? event.at) : null,
    lastSeq: event.seq,
  });
};

const todo: Fold = (draft, event) => {
  const groupId = text(event.data.groupId);
  draft.todos.set(groupId, {
    groupId,
    title: textOrNull(event.data.title),
    runId: event.runId ?? null,
    items: list<TodoItem>(event.data.items),
  });
};

const requested: Fold = (draft, event) => {
  const { data } = event;
  const requestId = text(data.requestId);
  if (draft.items.has(`asked:${requestId}`)) return;
  const toolCall = objectOrNull<AskedToolCall>(data.toolCall);
  draft.put({
    ...common(event, `asked:${requestId}`),
    kind: "asked",
    requestId,
    asks: data.kind === "question" ? "question" : "permission",
    title: text(data.title),
    toolCall,
    options: list<AskOption>(data.options),
    schema: objectOrNull<FormSchema>(data.schema),
    expiresAt: textOrNull(data.expiresAt),
    onExpiry: text(data.onExpiry) || "wait",
    decision: null,
    by: null,
    reason: null,
    answers: null,
    decidedAt: null,
    told: null,
  });
  holdTool(draft, event, toolCall, event.at);
};

/** A call that waits for a person does not count the wait as its own time. */
function holdTool(draft: Draft, event: Envelope, call: AskedToolCall | null, since: string | null): void {
  const item = draft.items.get(`tool:${event.runId ?? ""}:${text(call?.toolCallId)}`);
  if (item?.kind !== "tool") return;
  const waited = item.waitsSince && since === null ? Date.parse(event.at) - Date.parse(item.waitsSince) : 0;
  draft.put({ ...item, waitsSince: since, waitedMs: item.waitedMs + Math.max(0, waited) });
}

const resolved: Fold = (draft, event) => {
  const { data } = event;
  const item = draft.items.get(`asked:${text(data.requestId)}`);
  if (item?.kind !== "asked") return;
  const answered: AskedItem = {
    ...item,
    decision: text(data.decision) as Decision,
    by: text(data.by) || event.author,
    reason: textOrNull(data.reason),
    answers: data.answers ?? null,
    decidedAt: event.at,
    lastSeq: event.seq,
  };
  draft.put(answered);
  holdTool(draft, event, item.toolCall, null);
};

const escalated: Fold = (draft, event) => {
  const item = draft.items.get(`asked:${text(event.data.requestId)}`);
  if (item?.kind !== "asked") return;
  draft.put({ ...item, expiresAt: textOrNull(event.data.expiresAt), onExpiry: text(event.data.onExpiry) });
};

const applied: Fold = (draft, event) => {
  const item = draft.items.get(`asked:${text(event.data.requestId)}`);
  if (item?.kind === "asked") draft.put({ ...item, told: text(event.data.told), lastSeq: event.seq });
};

const usage: Fold = (draft, event) => {
  draft.usage = { ...draft.usage, ...(event.data as Usage) };
};

const synced: Fold = (draft, event) => {
  draft.worker = draft.worker?.phase === "saving" ? null : draft.worker;
  draft.saved = {
    runId: textOrNull(event.data.runId) ?? event.runId ?? null,
    runNumber: numberOrNull(event.data.runNumber),
    snapshotId: textOrNull(event.data.snapshotId),
    at: event.at,
    failure: null,
  };
};

const syncFailed: Fold = (draft, event) => {
  const failure = text(event.data.reason) || text(event.data.error);
  draft.worker = draft.worker?.phase === "saving" ? null : draft.worker;
  draft.saved = draft.saved
    ? { ...draft.saved, failure }
    : { runId: null, runNumber: null, snapshotId: null, at: event.at, failure };
  notice(draft, event);
};

const working =
  (phase: "starting" | "restoring" | "saving"): Fold =>
  (draft, event) => {
    const since = draft.worker?.phase === phase ? draft.worker.since : event.at;
    draft.worker = {
      phase,
      since,
      done: numberOrNull(event.data.done) ?? 0,
      total: numberOrNull(event.data.bytes) ?? 0,
    };
  };

const workerReady: Fold = (draft) => {
  draft.worker = null;
};

const notice: Fold = (draft, event) => {
  draft.put({ ...common(event, `notice:${event.seq}`), kind: "notice", type: event.type, data: event.data });
};

export const FOLDS: Record<string, Fold | undefined> = {
  "run.queued": queued,
  "run.queue_edited": queueEdited,
  "run.held": () => undefined,
  "run.started": started,
  "run.waiting": moves("waiting"),
  "run.parked": moves("parked"),
  "run.resumed": moves("running"),
  "run.retrying": retrying,
  "run.cancelling": moves("cancelling"),
  "run.warning": notice,
  "run.finished": finished,
  "message.delta": delta,
  "message.stop": stop,
  "tool.call": tool,
  "tool.update": tool,
  "todo.update": todo,
  "human_loop.requested": requested,
  "human_loop.resolved": resolved,
  "human_loop.escalated": escalated,
  "human_loop.applied": applied,
  "usage.update": usage,
  "workspace.synced": synced,
  "workspace.sync_failed": syncFailed,
  "workspace.restored": workerReady,
  "workspace.restoring": working("restoring"),
  "workspace.syncing": working("saving"),
  "worker.starting": working("starting"),
  "worker.ready": workerReady,
  unknown: notice,
};
