"""Show and edit the queue of runs; have the job worker drain it and reconcile runs."""

from __future__ import annotations

from uuid import UUID

from apiflask import APIBlueprint
from flask import Response

from functions.http.auth import actor, permission
from functions.http.job_requests import perform
from functions.http.openapi import conflicts
from functions.http.schemas import Nothing, answer
from functions.runs.presenters import queued_answer, run_answer
from functions.runs.schemas import (
    DrainBody,
    EditQueuedBody,
    QueuedAnswer,
    QueueQuery,
    RemoveQueuedQuery,
    SessionQueueAnswer,
    StatusAnswer,
)
from functions.runs.start import refuse_large_prompt
from functions.runtime.process import api_process
from handlers.runs.limits import held_position
from handlers.runs.queue import edit_queued, remove_queued, session_queue
from handlers.runs.read import queue_position, run_for
from schema.job_requests import DrainQueue, ReconcileRuns
from schema.job_results import QueueDrained, RunReconciliation
from schema.queue_api import QueueItem

queue = APIBlueprint("queue", __name__, tag="Queue")


@queue.get("/api/runs/queue/<uuid:run_id>")
@permission("runs:read")
@queue.output(QueuedAnswer)
def get_queued(run_id: UUID) -> Response:
    """Show a queued run's position"""
    with api_process().transaction() as conn:
        run = run_for(conn, actor(), run_id)
        held = held_position(conn, run.id) if run.held_by else None
        return answer(queued_answer(run, position=queue_position(conn, run), held_position=held))


@queue.get("/api/sessions/<uuid:session_id>/queue")
@permission("runs:read")
@queue.input(QueueQuery, location="query")
@queue.output(SessionQueueAnswer)
def get_session_queue(session_id: UUID, query_data: QueueQuery) -> Response:
    """Show a session's live run and its queue"""
    with api_process().transaction() as conn:
        listed = session_queue(conn, actor(), session_id, after=query_data.cursor, limit=query_data.limit)
    live = None if listed.live is None else run_answer(listed.live)
    return answer(SessionQueueAnswer(live=live, items=listed.items, next_cursor=listed.next_position))


@queue.patch("/api/runs/queue/<uuid:run_id>")
@permission("runs:start")
@queue.input(EditQueuedBody)
@queue.output(QueueItem)
@queue.doc(responses=conflicts("stale_revision", "not_queued", "capability_missing"))
def edit_queued_run(run_id: UUID, json_data: EditQueuedBody) -> Response:
    """Edit or move a queued run

    409 `stale_revision` carries the present run. 409 `not_queued`: the run, or the run named in `place`, has begun.
    """
    refuse_large_prompt(json_data.prompt or "")
    with api_process().transaction() as conn:
        item = edit_queued(conn, actor(), run_id, json_data.edit)
    return answer(item)


@queue.delete("/api/runs/queue/<uuid:run_id>")
@permission("runs:stop")
@queue.input(RemoveQueuedQuery, location="query")
@queue.output(StatusAnswer)
@queue.doc(responses=conflicts("stale_revision", "not_queued"))
def remove_queued_run(run_id: UUID, query_data: RemoveQueuedQuery) -> Response:
    """Remove a run from the queue

    The run is cancelled. 409 `not_queued`: the run has begun, so stop it instead.
    """
    with api_process().transaction() as conn:
        run = remove_queued(conn, actor(), run_id, revision=query_data.revision)
    return answer(StatusAnswer(run_id=run.id, status=run.status))


@queue.post("/api/runs/queue/drain")
@permission("queue:drain")
@queue.input(DrainBody)
@queue.output(QueueDrained)
def drain_queue(json_data: DrainBody) -> Response:
    """Claim and start queued runs now

    The answer counts the runs that settled within the wait. 503 `job_worker_unavailable`: no job worker took
    the request.
    """
    request = DrainQueue(limit=json_data.limit, wait_seconds=json_data.wait_seconds)
    return perform(request, QueueDrained, wait_seconds=json_data.wait_seconds)


@queue.post("/api/reconcile/runs")
@permission("reconcile")
@queue.input(Nothing)
@queue.output(RunReconciliation)
def reconcile_runs(json_data: Nothing) -> Response:  # noqa: ARG001
    """Adopt, retry or end overdue runs

    503 `job_worker_unavailable`: no job worker took the request.
    """
    return perform(ReconcileRuns(), RunReconciliation, wait_seconds=0)
