import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate, useSearchParams } from "react-router";
import { call } from "../../api/client";
import type { Page, Run } from "../../api/types";
import type { Envelope, SessionState } from "../../log/events";
import { lanesOf, type Span } from "../../log/lanes";
import { Empty, ErrorNote, Skeleton } from "../../parts/Note";
import { Select } from "../../parts/Select";
import { duration, timeOfDay, useNow } from "../../words/numbers";
import { Why } from "../Why";
import { LaneChart } from "./LaneChart";
import styles from "./Timeline.module.css";

interface TimelineProps {
  sessionId: string;
  state: SessionState;
  isNarrow?: boolean;
}

const EVENTS_A_PAGE = 1000;
const MOST_EVENTS = 20_000;

/** A run's lanes, why it is as it is, and the same as a table. */
export function Timeline({ sessionId, state, isNarrow }: TimelineProps) {
  const { t } = useTranslation();
  const [search, setSearch] = useSearchParams();
  const runs = useRuns(sessionId, state.liveRunId)
    .map((run, at) => ({ ...run, number: at + 1 }))
    .filter((run) => run.startedAt || run.runId === state.liveRunId);
  const runId = search.get("run") ?? state.liveRunId ?? runs.at(-1)?.runId ?? null;
  const isLive = runId !== null && runId === state.liveRunId;
  const events = useRunEvents(runId, isLive ? state.seq : -1);
  const now = useNow(1000, isLive);
  const lanes = useMemo(() => (events.data ? lanesOf(events.data, isLive ? now : 0) : null), [events.data, isLive, now]);
  const go = useNavigate();
  const [selected, setSelected] = useState<string | null>(null);
  if (runs.length === 0) return <Empty title={t("timeline.none")}><p>{t("timeline.noneNote")}</p></Empty>;
  const open = (span: Span): void => void go(`/s/${sessionId}?at=${span.seq}`);
  return (
    <div className={styles.timeline}>
      <Select
        label={t("timeline.run")}
        isBoxed
        value={runId ?? ""}
        onChange={(value) => setSearch((before) => (before.set("run", value), before), { replace: true })}
        choices={runs.map((one) => ({ value: one.runId, label: `${one.number}. ${one.prompt.slice(0, 60)}`, note: t(`status.${one.status}`) }))}
      />
      {events.error && <ErrorNote error={events.error} onRetry={() => void events.refetch()} />}
      {!lanes && !events.error && <Skeleton lines={6} />}
      {lanes && lanes.spans.length > 0 && <LaneChart lanes={lanes} isNarrow={Boolean(isNarrow)} selected={selected} onSelect={setSelected} onOpen={open} />}
      {runId && (
        <section className={styles.why} aria-label={t("why.title")}>
          <h2>{t("why.title")}</h2>
          <Why kind="runs" id={runId} />
        </section>
      )}
      {lanes && <SpanTable spans={lanes.spans} onOpen={open} isShown={!isNarrow} />}
    </div>
  );
}

function SpanTable({ spans, onOpen, isShown }: { spans: Span[]; onOpen: (span: Span) => void; isShown: boolean }) {
  const { t } = useTranslation();
  return (
    <details className={styles.details} open={isShown}>
      <summary>{t("timeline.table")}</summary>
      <table className={styles.table}>
        <thead>
          <tr><th scope="col">{t("timeline.at")}</th><th scope="col">{t("timeline.lane")}</th><th scope="col">{t("timeline.what")}</th><th scope="col">{t("timeline.took")}</th></tr>
        </thead>
        <tbody>
          {spans.map((span) => (
            <tr key={span.id}>
              <td>{timeOfDay(new Date(span.from).toISOString())}</td>
              <td>{t(`lane.${span.lane}`)}</td>
              <td><button type="button" className={styles.open} onClick={() => onOpen(span)}>{titleOf(span, t(`lane.${span.lane}`))}</button></td>
              <td>{duration(span.to - span.from)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}

export const titleOf = (span: Span, lane: string): string => (span.lane === "tools" || span.lane === "you" ? span.title || lane : lane);

function useRuns(sessionId: string, mark: string | null): Run[] {
  const runs = useQuery({
    queryKey: ["session-runs", sessionId, mark],
    queryFn: ({ signal }) => call<Page<Run>>(`/api/sessions/${sessionId}/runs`, { query: { limit: 100 }, signal }),
    placeholderData: (before) => before,
  });
  return [...(runs.data?.items ?? [])].sort((a, b) => a.createdAt.localeCompare(b.createdAt));
}

function useRunEvents(runId: string | null, upTo: number) {
  return useQuery({
    queryKey: ["run-events", runId, upTo],
    queryFn: ({ signal }) => readAll(runId ?? "", signal),
    enabled: runId !== null,
    staleTime: upTo < 0 ? 30_000 : 0,
    placeholderData: (before) => before,
  });
}

async function readAll(runId: string, signal: AbortSignal): Promise<Envelope[]> {
  const events: Envelope[] = [];
  while (events.length < MOST_EVENTS) {
    const after = events.at(-1)?.seq ?? 0;
    const { items, nextCursor } = await call<{ items: Envelope[]; nextCursor?: number | null }>(`/api/runs/${runId}/events`, { query: { after, limit: EVENTS_A_PAGE }, signal });
    events.push(...items);
    if (items.length === 0 || nextCursor == null) break;
  }
  return events;
}
