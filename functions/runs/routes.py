"""Show, stream and stop a run, for users who may see its session."""

from __future__ import annotations

from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, g

from functions.events.follow import Followed, refuse_cursor_ahead
from functions.events.sse import stream_response
from functions.http.auth import actor, authenticator, permission
from functions.http.openapi import EVENT_STREAM, also, conflicts, takes_headers
from functions.http.parsing import last_event_id, page_cursor, read_page_cursor
from functions.http.schemas import AfterQuery, EventsAnswer, Nothing, StreamQuery, answer
from functions.http.tracing import name_in_log
from functions.runs.presenters import listed_run_answer, run_answer, started_answer
from functions.runs.schemas import ListedRunsAnswer, RetryBody, RunAnswer, RunsQuery, StartedAnswer, StatusAnswer
from functions.runtime.process import api_process
from handlers.event_log import last_seqs, run_events
from handlers.runs.read import queue_position, run_for
from handlers.runs.retry import retry_run
from handlers.runs.run_list import RunFilter, list_runs, why_in_short
from handlers.runs.stop import stop_run
from schema.events import Envelope
from schema.row_pages import RowPage

STOPPED = {
    "description": "The run had ended before, or ended at once",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/StatusAnswer"}}},
}
runs = APIBlueprint("runs", __name__, tag="Runs")


@runs.get("/api/runs")
@permission("runs:read")
@runs.input(RunsQuery, location="query")
@runs.output(ListedRunsAnswer)
def get_runs(query_data: RunsQuery) -> Response:
    """List runs over sessions, newest first

    Members get the runs of their own sessions, operators those of everyone.
    """
    chosen = RunFilter(
        status=query_data.status,
        provider=query_data.provider,
        user_id=query_data.user_id,
        session_id=query_data.session_id,
        stuck=query_data.stuck,
    )
    before = read_page_cursor(query_data.cursor)
    with api_process().transaction() as conn:
        page = list_runs(conn, actor(), chosen, before=before, limit=query_data.limit)
        items = [listed_run_answer(run, may_see=run.is_seen_by(actor()), why=why_in_short(conn, run)) for run in page]
    last = page[-1] if len(page) == query_data.limit else None
    return answer(ListedRunsAnswer(items=items, next_cursor=page_cursor(last.created_at, last.id) if last else None))


@runs.post("/api/runs/<uuid:run_id>/retry")
@permission("runs:start")
@runs.input(RetryBody)
@runs.output(StartedAnswer, status_code=202, description="Accepted: the new run is queued")
@runs.doc(responses=conflicts("not_ended", "bound_run", "capability_missing"))
def post_retry(run_id: UUID, json_data: RetryBody) -> Response:
    """Repeat a run

    A new run with the old prompt in the same session; `retryOf` of the new run names the old one.
    """
    with api_process().transaction() as conn:
        started = retry_run(
            conn,
            actor(),
            run_id,
            options=json_data.options,
            traceparent=g.traceparent,
            stop_policy=api_process().stop_policy,
            human_policy=api_process().settings.human_policy,
            shares=api_process().settings.run_shares,
        )
    name_in_log(sessionId=started.run.session_id, runId=started.run.id)
    return answer(started_answer(started), 202, Location=f"/api/runs/{started.run.id}")


@runs.get("/api/runs/<uuid:run_id>")
@permission("runs:read")
@runs.output(RunAnswer)
def get_run(run_id: UUID) -> Response:
    """Show a run"""
    with api_process().transaction() as conn:
        run = run_for(conn, actor(), run_id)
        return answer(run_answer(run, queue_position=queue_position(conn, run)))


@runs.get("/api/runs/<uuid:run_id>/events")
@permission("runs:read")
@runs.input(AfterQuery, location="query")
@runs.output(EventsAnswer)
@runs.doc(responses=conflicts("bad_cursor"))
def get_events(run_id: UUID, query_data: AfterQuery) -> Response:
    """List a run's events, oldest first"""
    with api_process().transaction() as conn:
        run = run_for(conn, actor(), run_id)
        refuse_cursor_ahead(last_seqs(conn, [run.session_id])[run.session_id], query_data.after)
        events = run_events(conn, run_id, after=query_data.after, limit=query_data.limit)
    return answer(events_answer(events))


@runs.get("/api/runs/<uuid:run_id>/stream")
@permission("runs:read")
@runs.input(StreamQuery, location="query")
@runs.doc(
    responses=also(
        {
            200: {"description": "Server-sent events", "content": {"text/event-stream": EVENT_STREAM}},
            204: {"description": "The run has ended, and no event follows the cursor"},
            **conflicts("bad_cursor"),
        }
    ),
    extensions=takes_headers("Last-Event-ID"),
)
def stream_events(run_id: UUID, query_data: StreamQuery) -> Response:
    """Stream a run's events

    Server-sent events: `id` is `seq`, `event` the type, `data` the envelope. The stream ends after `run.finished`.
    Closing the stream does not stop the run. `Last-Event-ID` wins over `cursor`. 204: the run has ended and no
    event follows the cursor, so that an `EventSource` stays closed.
    """
    reconnected = last_event_id()
    cursor = query_data.cursor if reconnected is None else reconnected
    with api_process().transaction() as conn:
        run = run_for(conn, actor(), run_id)
        refuse_cursor_ahead(last_seqs(conn, [run.session_id])[run.session_id], cursor)
        is_read = run.is_final and not run_events(conn, run_id, after=cursor, limit=1)
    if is_read:
        return Response(status=204)
    followed = Followed(run.session_id, run.id, actor(), authenticator())
    slot = api_process().stream_slots.take(actor().user_id)
    return stream_response(api_process(), followed, after=cursor, slot=slot)


@runs.post("/api/runs/<uuid:run_id>/stop")
@permission("runs:stop")
@runs.input(Nothing)
@runs.output(StatusAnswer, status_code=202)
@runs.doc(responses=also({200: STOPPED}))
def post_stop(run_id: UUID, json_data: Nothing) -> Response:  # noqa: ARG001
    """Stop a run"""
    with api_process().transaction() as conn:
        run = stop_run(conn, actor(), run_id, policy=api_process().stop_policy)
    return answer(StatusAnswer(run_id=run.id, status=run.status), 200 if run.is_final else 202)


def events_answer(events: RowPage[Envelope]) -> EventsAnswer:
    return EventsAnswer(items=events, next_cursor=events[-1].seq if events.is_full else None)
