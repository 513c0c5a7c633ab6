"""What runs can be done with: the providers, and the session workers that are there now."""

from __future__ import annotations

from uuid import UUID

from apiflask import APIBlueprint
from flask import Response

from functions.admission import permission
from functions.answers import ProvidersAnswer, WorkerAnswer, WorkersAnswer, answer
from functions.edge import edge
from functions.rows_to_answers import provider_answer, worker_answer
from handlers.providers import list_providers
from handlers.read_run import workers
from handlers.worker import worker_of
from schema.errors import NotFound

fleet = APIBlueprint("fleet", __name__, tag="Providers and workers")


@fleet.get("/api/providers")
@permission("providers:read")
@fleet.output(ProvidersAnswer)
def get_providers() -> Response:
    """The providers and what each can do"""
    with edge().transaction() as conn:
        found = list_providers(conn)
    return answer(ProvidersAnswer(items=[provider_answer(provider) for provider in found]))


@fleet.get("/api/session-workers")
@permission("workers:read")
@fleet.output(WorkersAnswer)
def get_workers() -> Response:
    """All session workers"""
    with edge().transaction() as conn:
        found = workers(conn)
    return answer(WorkersAnswer(items=[worker_answer(worker) for worker in found]))


@fleet.get("/api/session-workers/<uuid:session_id>")
@permission("workers:read")
@fleet.output(WorkerAnswer)
def get_worker(session_id: UUID) -> Response:
    """A session's worker"""
    with edge().transaction() as conn:
        worker = worker_of(conn, session_id)
    if worker is None:
        raise NotFound("This session has no worker.", code="unknown_worker")
    return answer(worker_answer(worker))
