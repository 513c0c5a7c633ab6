/** What the conversation shows: items, with settled tool calls in a row folded into groups. Pure. */
import type { Item, RunState, SessionState, ToolItem } from "./events";

export interface ToolGroup {
  kind: "group";
  id: string;
  tools: ToolItem[];
  failed: number;
  ms: number;
}

export type Row = Item | ToolGroup;

/** The run whose turn it is. */
export const liveRun = ({ liveRunId, runs }: Pick<SessionState, "liveRunId" | "runs">): RunState | undefined => (liveRunId ? runs.get(liveRunId) : undefined);

const FEWEST = 3;

export function rowsOf(state: Pick<SessionState, "items" | "order">): Row[] {
  const rows: Row[] = [];
  let attached: ReadonlySet<string> | null = null;
  let calls: ToolItem[] = [];
  const settle = (): void => {
    if (calls.length >= FEWEST) rows.push(groupOf(calls));
    else rows.push(...calls);
    calls = [];
  };
  for (const id of state.order) {
    const item = state.items.get(id);
    if (!item || isSilent(item)) continue;
    if (item.kind === "notice" && item.type === "workspace.uploaded") {
      attached ??= attachedPaths(state);
      if (attached.has(String(item.data.path))) continue;
    }
    if (item.kind === "tool" && item.endedAt !== null) {
      calls.push(item);
      continue;
    }
    settle();
    rows.push(item);
  }
  settle();
  return rows;
}

function groupOf(tools: ToolItem[]): ToolGroup {
  return {
    kind: "group",
    id: `group:${tools[0]?.id ?? ""}`,
    tools,
    failed: tools.filter((tool) => tool.status === "failed").length,
    ms: tools.reduce((sum, tool) => sum + toolMs(tool), 0),
  };
}

/** How long a call took, without the time a person was waited for. */
export function toolMs(tool: ToolItem): number {
  if (tool.endedAt === null) return 0;
  return Math.max(0, Date.parse(tool.endedAt) - Date.parse(tool.at) - tool.waitedMs);
}

/** An open question is shown as the card, an empty text as nothing. */
function isSilent(item: Item): boolean {
  if (item.kind === "asked") return item.decision === null;
  return (item.kind === "answer" || item.kind === "thought") && item.text.trim() === "";
}

/** Uploads that stand in the prompt that they came with. */
function attachedPaths({ items }: Pick<SessionState, "items">): ReadonlySet<string> {
  const paths = new Set<string>();
  for (const item of items.values()) if (item.kind === "prompt") for (const path of item.attachments ?? []) paths.add(path);
  return paths;
}
