"""Show, stream and stop a run, for users who may see its session."""

from __future__ import annotations

from uuid import UUID

from apiflask import APIBlueprint
from flask import Response

from functions.events.follow import Followed, refuse_cursor_ahead
from functions.events.sse import stream_response
from functions.http.auth import actor, authenticator, permission
from functions.http.openapi import EVENT_STREAM, also, conflicts, takes_headers
from functions.http.parsing import last_event_id
from functions.http.schemas import AfterQuery, EventsAnswer, Nothing, StreamQuery, answer
from functions.runs.presenters import run_answer
from functions.runs.schemas import RunAnswer, StatusAnswer
from functions.runtime.process import api_process
from handlers.event_log import last_seqs, run_events
from handlers.runs.read import queue_position, run_for
from handlers.runs.stop import stop_run
from schema.events import Envelope

STOPPED = {
    "description": "The run had ended before, or ended at once",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/StatusAnswer"}}},
}
runs = APIBlueprint("runs", __name__, tag="Runs")


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
    return answer(events_answer(events, limit=query_data.limit))


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
    return stream_response(api_process(), followed, after=cursor, place=api_process().streams.take())


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


def events_answer(events: list[Envelope], *, limit: int) -> EventsAnswer:
    return EventsAnswer(items=events, next_cursor=events[-1].seq if len(events) == limit else None)
