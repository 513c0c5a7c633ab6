"""The queue of runs, and what only the job worker can do to it: asked for here, done there, waited for."""

from __future__ import annotations

import json
import time
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response

from functions.admission import actor, permission
from functions.answers import DrainAnswer, QueuedAnswer, ReconcileAnswer, answer
from functions.edge import edge
from functions.requests import DrainBody, Nothing
from functions.rows_to_answers import queued_answer
from functions.streams import Place
from handlers.operations import operation, request_operation
from handlers.read_run import queue_position, run_for
from schema.errors import Unavailable
from schema.rows import OperationRow
from schema.wire import Json

GRACE_SECONDS = 10.0
LOOK_SECONDS = 0.1
queue = APIBlueprint("queue", __name__, tag="Queue")


@queue.get("/api/runs/queue/<uuid:run_id>")
@permission("runs:read")
@queue.output(QueuedAnswer)
def get_queued(run_id: UUID) -> Response:
    """Where a run stands in the queue"""
    with edge().transaction() as conn:
        run = run_for(conn, actor(), run_id)
        return answer(queued_answer(run, position=queue_position(conn, run)))


@queue.post("/api/runs/queue/drain")
@permission("queue:drain")
@queue.input(DrainBody)
@queue.output(DrainAnswer)
def drain_queue(json_data: DrainBody) -> Response:
    """Claim and start runs here and now

    Then counts what settled within the wait. 503 `worker_away` when no job worker takes it up.
    """
    return perform("drain_queue", json_data.model_dump(by_alias=True), wait_seconds=json_data.wait_seconds)


@queue.post("/api/reconcile/runs")
@permission("reconcile")
@queue.input(Nothing)
@queue.output(ReconcileAnswer)
def reconcile_runs(json_data: Nothing) -> Response:  # noqa: ARG001
    """Find overdue runs, and adopt, retry or end them

    503 `worker_away` when no job worker takes it up.
    """
    return perform("reconcile_runs", {}, wait_seconds=0)


def perform(kind: str, arguments: Json, *, wait_seconds: float) -> Response:
    """Have the job worker do it, and answer with its result."""
    return Response(json.dumps(performed(kind, arguments, wait_seconds=wait_seconds)), mimetype="application/json")


def performed(kind: str, arguments: Json, *, wait_seconds: float) -> Json:
    """What the job worker answers. Raises Unavailable when it does not take it up in time, or fails."""
    with edge().streams.place() as place:
        with edge().transaction() as conn:
            operation_id = request_operation(conn, actor(), kind, arguments)
        done = _outcome(operation_id, place, seconds=wait_seconds + GRACE_SECONDS)
    if done is None:
        raise Unavailable("The job worker did not take it up in time: is it running?", code="worker_away")
    if done.error is not None:
        raise Unavailable(f"The job worker could not do it: {done.error}", code="operation_failed")
    return done.result or {}


def _outcome(operation_id: UUID, place: Place, *, seconds: float) -> OperationRow | None:
    """The finished operation; None if it did not finish in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not edge().streams.is_ending:
        with edge().transaction() as conn:
            found = operation(conn, operation_id)
        if found is not None and found.finished_at is not None:
            return found
        place.bell.wait(LOOK_SECONDS)
    return None
