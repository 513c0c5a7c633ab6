/** One session's log as the server sends it. Unknown types pass through and become notices. */

export interface Envelope {
  seq: number;
  id: string;
  sessionId: string;
  runId?: string | null;
  attempt?: number | null;
  author: string;
  type: string;
  at: string;
  late?: boolean | null;
  data: Record<string, unknown>;
}

export type RunStatus =
  | "queued"
  | "starting"
  | "running"
  | "waiting"
  | "parked"
  | "retrying"
  | "cancelling"
  | "succeeded"
  | "failed"
  | "cancelled"
  | "blocked";

export type ToolStatus = "pending" | "in_progress" | "completed" | "failed";

export interface FileDiff {
  path: string;
  relativePath?: string;
  oldText?: string | null;
  newText?: string | null;
  cut?: boolean;
}

export interface Reason {
  code: string;
  message: string;
}

export interface Cost {
  amount?: number | null;
  currency?: string | null;
  source: "reported" | "priced" | "unavailable";
}

export interface Usage {
  inputTokens?: number | null;
  outputTokens?: number | null;
  cachedReadTokens?: number | null;
  cachedWriteTokens?: number | null;
  contextUsed?: number | null;
  contextSize?: number | null;
  cost?: Cost | null;
}

export interface TodoItem {
  id: string;
  content: string;
  status: "pending" | "in_progress" | "completed";
  priority?: string | null;
}

export interface TodoGroup {
  groupId: string;
  title?: string | null;
  runId?: string | null;
  items: TodoItem[];
}

export interface AskOption {
  optionId: string;
  name: string;
  kind: "allow_once" | "allow_always" | "reject_once" | "reject_always";
}

export interface AskedToolCall {
  toolCallId?: string;
  title?: string;
  kind?: string;
  input?: unknown;
  cwd?: string;
  workspace?: string;
  diffs?: FileDiff[];
}

/** JSON Schema as far as forms read it. */
export interface FormSchema {
  type?: string;
  title?: string;
  description?: string;
  properties?: Record<string, FormSchema>;
  required?: string[];
  enum?: unknown[];
  oneOf?: { const: unknown; title?: string }[];
  items?: FormSchema;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  pattern?: string;
  format?: string;
}

export type Decision = "allow" | "allow_always" | "deny" | "answer" | "cancel";

interface ItemCommon {
  id: string;
  firstSeq: number;
  lastSeq: number;
  runId: string | null;
  at: string;
}

export interface PromptItem extends ItemCommon {
  kind: "prompt";
  text: string;
  author: string;
  /** Files of the workspace that the prompt came with. */
  attachments?: string[];
}

export interface TextItem extends ItemCommon {
  kind: "answer" | "thought";
  text: string;
  isDone: boolean;
}

export interface ToolItem extends ItemCommon {
  kind: "tool";
  toolCallId: string;
  title: string;
  toolKind: string;
  status: ToolStatus;
  input?: unknown;
  output?: unknown;
  diffs: FileDiff[];
  locations: string[];
  endedAt: string | null;
  /** Milliseconds for which a person was waited for. */
  waitedMs: number;
  waitsSince: string | null;
  isCut?: boolean;
  /** For each field that was cut, the event that has all of it. */
  whole?: Record<string, number>;
}

export interface AskedItem extends ItemCommon {
  kind: "asked";
  requestId: string;
  asks: "permission" | "question";
  title: string;
  toolCall: AskedToolCall | null;
  options: AskOption[];
  schema: FormSchema | null;
  expiresAt: string | null;
  onExpiry: string;
  decision: Decision | null;
  by: string | null;
  reason: string | null;
  answers: unknown;
  decidedAt: string | null;
  told: string | null;
}

export interface RunEndItem extends ItemCommon {
  kind: "run";
  status: RunStatus;
  reason: Reason | null;
  usage: Usage | null;
  stopReason: string | null;
  startedAt: string | null;
}

export interface NoticeItem extends ItemCommon {
  kind: "notice";
  type: string;
  data: Record<string, unknown>;
}

export type Item = PromptItem | TextItem | ToolItem | AskedItem | RunEndItem | NoticeItem;

export interface RunState {
  runId: string;
  provider: string;
  author: string;
  status: RunStatus;
  attempt: number;
  prompt: string;
  attachments?: string[];
  queuedAt: string;
  startedAt: string | null;
  endedAt: string | null;
  reason: Reason | null;
  nextAttemptAt: string | null;
}

/** How the workspace's save stands, as far as the log tells. */
export interface SavedState {
  runId: string | null;
  runNumber: number | null;
  snapshotId: string | null;
  at: string;
  failure: string | null;
}

export interface WorkerPhase {
  phase: "starting" | "restoring" | "saving";
  since: string;
  done: number;
  total: number;
}

export interface SessionState {
  seq: number;
  items: ReadonlyMap<string, Item>;
  order: readonly string[];
  /** The newest event that did more to the items than let the text of one grow. */
  rowsSeq: number;
  runs: ReadonlyMap<string, RunState>;
  todos: ReadonlyMap<string, TodoGroup>;
  /** Runs that wait their turn, oldest first. */
  queue: readonly string[];
  usage: Usage | null;
  saved: SavedState | null;
  /** The newest event here after which the workspace may hold what no snapshot has. */
  changedSeq: number;
  worker: WorkerPhase | null;
  /** Link definitions may have changed meaning: rises when a message stops. */
  liveRunId: string | null;
}
