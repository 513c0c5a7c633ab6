"""Start runs. Answer at once as JSON, stream the run's events, or answer as JSON when the run has ended."""

from __future__ import annotations

import time

from apiflask import APIBlueprint
from flask import Response, g, request

from functions.events.follow import Followed, follow
from functions.events.sse import stream_response
from functions.http.auth import actor, authenticator, permission
from functions.http.openapi import also, conflicts, takes_headers
from functions.http.parsing import idempotency, preferred_wait_seconds
from functions.http.schemas import answer
from functions.http.tracing import name_in_log
from functions.runs.presenters import started_answer, waited_answer
from functions.runs.schemas import StartBody, StartedAnswer
from functions.runtime.process import api_process
from functions.runtime.stream_slots import StreamSlot
from handlers.runs.read import run_for
from handlers.runs.start import StartedRun, start_run
from schema.errors import TooLarge
from schema.events import Envelope

WAIT_TICK_SECONDS = 0.25
STREAMED_OR_WAITED = (
    "With `Accept: text/event-stream` the run's events as they are appended; with `Prefer: wait=N` the run and its "
    "events, if it ended in time. The save of its files may end later: `Link` says where it is seen"
)
CONFLICTS = conflicts("capability_missing", "session_busy", "idempotency_key_reused", "other_app")
starting = APIBlueprint("starting", __name__, tag="Runs")


@starting.post("/api/runs/start")
@permission("runs:start")
@starting.input(StartBody)
@starting.output(StartedAnswer, status_code=202, description="Accepted: the run is queued")
@starting.doc(
    responses=also({200: {"description": STREAMED_OR_WAITED}, **CONFLICTS}),
    extensions=takes_headers("Idempotency-Key", "Prefer", "traceparent"),
)
def post_start(json_data: StartBody) -> Response:
    """Start a run

    Requests with the same `Idempotency-Key` and the same body start one run.
    """
    if request.accept_mimetypes.best_match(["application/json", "text/event-stream"]) == "text/event-stream":
        return _start_and_stream(json_data)
    seconds = preferred_wait_seconds()
    return _start_and_wait(json_data, seconds) if seconds else _accepted(_start(json_data))


@starting.post("/api/runs/queue/enqueue")
@permission("runs:start")
@starting.input(StartBody)
@starting.output(StartedAnswer, status_code=202, description="Accepted: the run is queued")
@starting.doc(responses=CONFLICTS, extensions=takes_headers("Idempotency-Key", "traceparent"))
def enqueue_run(json_data: StartBody) -> Response:
    """Start a run, never as a stream"""
    return _accepted(_start(json_data))


def refuse_large_prompt(prompt: str) -> None:
    limit = api_process().settings.max_prompt_bytes
    if len(prompt.encode()) > limit:
        raise TooLarge(f"A prompt has at most {limit} bytes of UTF-8.", code="prompt_too_large")


def _start(body: StartBody) -> StartedRun:
    refuse_large_prompt(body.prompt)
    start = body.start(max_attempts=api_process().settings.run_max_attempts, traceparent=g.traceparent)
    key = idempotency()
    with api_process().transaction() as conn:
        started = start_run(
            conn,
            actor(),
            start,
            stop_policy=api_process().stop_policy,
            human_policy=api_process().settings.human_policy,
            shares=api_process().settings.run_shares,
            idempotency=key,
        )
    name_in_log(sessionId=started.run.session_id, runId=started.run.id)
    return started


def _accepted(started: StartedRun, **headers: str) -> Response:
    location = f"/api/runs/{started.run.id}"
    return answer(started_answer(started), 202, Location=location, Link=_snapshots_link(started), **headers)


def _snapshots_link(started: StartedRun) -> str:
    """Return the Link header (RFC 8288) to where the save of the run's files is seen, which may end after the run."""
    return f'</api/sessions/{started.run.session_id}/snapshots>; rel="related"; title="snapshots"'


def _followed(started: StartedRun) -> Followed:
    return Followed(started.run.session_id, started.run.id, actor(), authenticator())


def _start_and_stream(body: StartBody) -> Response:
    """Take the stream slot first: without a slot no run starts."""
    slot = api_process().stream_slots.take(actor().user_id)
    try:
        started = _start(body)
        headers = {"Location": f"/api/runs/{started.run.id}", "Link": _snapshots_link(started)}
        return stream_response(api_process(), _followed(started), after=started.seq, slot=slot, **headers)
    except BaseException:
        slot.release()
        raise


def _start_and_wait(body: StartBody, seconds: int) -> Response:
    with api_process().stream_slots.slot(actor().user_id) as slot:
        started = _start(body)
        events = _events_until_end(started, slot, seconds=seconds)
    if events is None:
        return _accepted(started, Preference_Applied=f"wait={seconds}")
    with api_process().transaction() as conn:
        run = run_for(conn, actor(), started.run.id)
    headers = {"Preference_Applied": f"wait={seconds}", "Link": _snapshots_link(started)}
    return answer(waited_answer(run, events), 200, **headers)


def _events_until_end(started: StartedRun, slot: StreamSlot, *, seconds: int) -> list[Envelope] | None:
    """Return all events of the run; None if the run did not end in time."""
    deadline = time.monotonic() + seconds
    events: list[Envelope] = []
    for batch in follow(
        api_process(), _followed(started), after=started.seq, slot=slot, tick_seconds=WAIT_TICK_SECONDS
    ):
        events += batch.events
        if batch.is_last:
            return events
        if time.monotonic() >= deadline:
            break
    return None
