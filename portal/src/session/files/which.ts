/** Which state of the files is shown, and how an address says it. Pure. */
import type { Run, Snapshot } from "../../api/types";

/** The newest state (live while a worker is at work), the end of a run, or one snapshot. */
export type Which = { kind: "newest" } | { kind: "run" | "snapshot"; id: string };

export interface Comparison {
  from: string;
  to: string;
}

export interface NumberedRun extends Run {
  number: number;
}

export const NEWEST: Which = { kind: "newest" };

/** What the API's calls about files are asked with. */
export function queryOf(which: Which): { runId?: string; snapshot?: string } {
  if (which.kind === "newest") return {};
  return which.kind === "run" ? { runId: which.id } : { snapshot: which.id };
}

export function whichOf(search: URLSearchParams): Which {
  const run = search.get("run");
  if (run) return { kind: "run", id: run };
  const snapshot = search.get("snapshot");
  return snapshot ? { kind: "snapshot", id: snapshot } : NEWEST;
}

export function comparisonOf(search: URLSearchParams): Comparison | null {
  const [from, to] = (search.get("diff") ?? "").split("..");
  return from && to ? { from, to } : null;
}

export function searchOf(which: Which, comparison: Comparison | null): string {
  if (comparison) return `?diff=${comparison.from}..${comparison.to}`;
  return which.kind === "newest" ? "" : `?${which.kind}=${which.id}`;
}

export function keyOf(which: Which): string {
  return which.kind === "newest" ? "newest" : `${which.kind}:${which.id}`;
}

/** Runs come newest first; the oldest is number 1. */
export function numbered(runs: readonly Run[]): NumberedRun[] {
  return runs.map((run, at) => ({ ...run, number: runs.length - at }));
}

/** The two newest states that were saved: what a first comparison shows. Null with fewer. */
export function firstComparison(snapshots: readonly Snapshot[], runs: readonly NumberedRun[]): Comparison | null {
  const sides: string[] = [];
  for (const { runId, snapshotId } of snapshots) {
    const side = runId && runs.some((run) => run.runId === runId) ? runId : snapshotId;
    if (!sides.includes(side)) sides.push(side);
    if (sides.length === 2) break;
  }
  const [to, from] = sides;
  return from && to ? { from, to } : null;
}
