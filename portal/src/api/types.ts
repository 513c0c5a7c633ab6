/** Answers of the API as the portal reads them. What older servers lack is optional. */
import type {
  AskedToolCall,
  AskOption,
  Decision,
  FileDiff,
  FormSchema,
  Item,
  Reason,
  RunStatus,
  TodoGroup,
  Usage,
} from "../log/events";
import type { components } from "./schema";

type Schemas = components["schemas"];

export interface Page<T> {
  items: T[];
  nextCursor?: string | number | null;
}

export interface Saved {
  isSaved: boolean | null;
  savedUpToRunNumber?: number | null;
  unsavedFiles?: number | null;
}

export interface Session {
  sessionId: string;
  title: string;
  appId: string;
  ownerId: string;
  createdAt: string;
  updatedAt: string;
  lastSeq: number;
  epoch: number;
  status?: RunStatus | "idle";
  live?: { runId: string; provider: string; status: RunStatus; startedAt?: string | null } | null;
  needsMe?: number;
  unread?: number | boolean;
  readSeq?: number;
  lastActivityAt?: string;
  last?: { type: string; text: string } | null;
  queued?: number;
  saved?: Saved | null;
  pinned?: boolean;
  archived?: boolean;
  provider?: string | null;
}

export interface RunWarning {
  code: string;
  message: string;
}

export interface Run {
  runId: string;
  sessionId: string;
  provider: string;
  status: RunStatus;
  prompt: string;
  attempt: number;
  maxAttempts: number;
  createdAt: string;
  startedAt?: string | null;
  finishedAt?: string | null;
  reason?: Reason | null;
  usage?: Usage | null;
  queuePosition?: number | null;
  warnings: RunWarning[];
  retryOf?: string | null;
}

/** A row of the runs over all sessions. */
export interface ListedRun {
  runId: string;
  sessionId: string;
  sessionTitle?: string | null;
  userName: string;
  provider: string;
  status: RunStatus;
  attempt: number;
  maxAttempts: number;
  createdAt: string;
  why?: string | null;
  whyCode?: string | null;
  whyValues?: Record<string, string | number> | null;
}

export interface RunOptions {
  model?: string;
  mode?: "auto" | "ask";
  [name: string]: unknown;
}

export interface StartBody {
  prompt: string;
  sessionId?: string;
  provider?: string;
  options?: RunOptions;
  multitask?: "enqueue" | "reject" | "interrupt";
  attachments?: string[];
}

export interface Started {
  runId: string;
  sessionId: string;
  status: RunStatus;
  seq: number;
  queuePosition: number;
  warnings: RunWarning[];
}

export interface QueueItem {
  runId: string;
  sessionId: string;
  prompt: string;
  attachments?: string[];
  provider: string;
  position: number;
  revision: number;
  attempts: number;
  createdAt: string;
  userId: string;
  heldBy?: string | null;
}

export interface SessionQueue extends Page<QueueItem> {
  live?: Run | null;
}

export interface AskedRequest {
  requestId: string;
  sessionId: string;
  runId: string;
  kind: "permission" | "question";
  status: string;
  title: string;
  toolCall?: AskedToolCall | null;
  options?: AskOption[] | null;
  schema?: FormSchema | null;
  diffs?: FileDiff[] | null;
  requestedAt: string;
  expiresAt?: string | null;
  onExpiry: string;
  sessionTitle: string;
  runStatus: RunStatus;
  mayDecide?: boolean;
  decidedBy?: string | null;
  decidedAt?: string | null;
  /** Of its answer; a request that ended without one has none. */
  decision?: Decision | null;
}

export interface Reply {
  requestId: string;
  decision: Decision;
  optionId?: string;
  reason?: string;
  answers?: Record<string, unknown>;
}

export type Capabilities = Record<string, boolean>;

export interface Provider {
  name: string;
  title: string;
  ready: boolean;
  reason?: string | null;
  reasonCode?: string | null;
  reasonValues?: Record<string, string> | null;
  version?: string | null;
  options: string[];
  defaultMode: string;
  defaultModel?: string | null;
  capabilities: { declared: Capabilities; probed?: Capabilities | null; probedAt?: string | null; effective: Capabilities };
}

export interface ProviderOptions {
  models: { items: { id: string; title: string; default?: boolean }[]; free: boolean; source: string };
  modes: string[];
}

export interface WorkerSync {
  dirtySince?: string | null;
  syncedAt?: string | null;
  failures: number;
  nextSyncAt?: string | null;
  headSnapshot?: string | null;
  isSaved?: boolean | null;
  savedUpToRunNumber?: number | null;
  unsavedFiles?: number | null;
  error?: string | null;
}

export interface Worker {
  sessionId: string;
  /** In lists, of sessions that one may see. */
  sessionTitle?: string | null;
  userName?: string | null;
  status: string;
  statusSince: string;
  epoch: number;
  host: string;
  idleSince?: string | null;
  lastError?: string | null;
  nextDeadline?: string | null;
  nextStep?: "start" | "save" | "stop" | "remove" | null;
  sync: WorkerSync;
}

export interface Why {
  state: string;
  reason: string;
  code?: string | null;
  values?: Record<string, string | number>;
  blockedBy: string[];
  owner?: string | null;
  nextDeadline?: string | null;
  nextJob?: string | null;
  history: { at: string; what: string; detail: Record<string, unknown> }[];
}

export interface Snapshot {
  snapshotId: string;
  number: number;
  runId?: string | null;
  reason?: string;
  cause?: string;
  files: number;
  bytes: number;
  changed: number;
  createdAt: string;
}

export interface Rule {
  ruleId: string;
  version: number;
  effect: string;
  toolKind?: string | null;
  pathPattern?: string | null;
  commandPattern?: string | null;
  appId?: string | null;
  userId?: string | null;
  note?: string | null;
  createdAt: string;
  retiredAt?: string | null;
}

export interface CoveringRules {
  items: Partial<Rule>[];
}

export interface Me {
  userId: string;
  name: string;
  role: string;
  permissions: string[];
  settings?: Record<string, unknown>;
  signedInBy?: string;
  expiresAt?: string | null;
}

export interface PersonalToken {
  tokenId: string;
  label: string;
  scopes: string[] | null;
  createdAt: string;
  expiresAt?: string | null;
  lastUsedAt?: string | null;
}

export interface SignIn {
  signInId: string;
  method: string;
  userAgent: string;
  createdAt: string;
  lastUsedAt: string;
  expiresAt: string;
  current: boolean;
}

export interface TodoChange {
  seq: number;
  at: string;
  runId: string;
  content: string;
  groupId: string;
  itemId: string;
  from?: string | null;
  to: string;
}

export type AuditAnswer = Schemas["AuditAnswer"];
export type FileAccess = AuditAnswer["items"][number];
export type TreeAnswer = Schemas["TreeAnswer"];
export type FileItem = Schemas["TreeAnswer.FileItemAnswer"];
export type ContentAnswer = Schemas["ContentAnswer"];
export type SearchAnswer = Schemas["SearchAnswer"];
export type DiffAnswer = Schemas["DiffAnswer"];
export type ChangedFile = Schemas["DiffAnswer.ChangedFileAnswer"];
export type PutBackAnswer = Schemas["PutBackAnswer"];
export type UploadAnswer = Schemas["UploadAnswer"];

/** Which state of the files an answer shows, and as of when. */
export type ShownState = Pick<TreeAnswer, "state" | "asOf" | "runId" | "snapshotId" | "notLive" | "exact">;

export interface UsageRow {
  key: string;
  title: string;
  runs: number;
  inputTokens?: number | null;
  outputTokens?: number | null;
  cachedReadTokens?: number | null;
  cost: { currency: string; amount: number; source: string }[];
  withoutCost: number;
}

export interface Transcript {
  items: Item[];
  users: Record<string, string>;
  seq: number;
  prevCursor?: number | null;
}

export interface SessionSnapshot {
  kind: "snapshot";
  session: Session;
  runs: Run[];
  requests: AskedRequest[];
  seq: number;
  todos?: TodoGroup[];
}
