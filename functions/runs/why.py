"""Explain why runs and human requests have their status. The workers room explains workers."""

from __future__ import annotations

from uuid import UUID

from apiflask import APIBlueprint
from flask import Response

from functions.http.auth import actor, permission
from functions.http.schemas import answer
from functions.runtime.process import api_process
from handlers.human_loop.why import why_request
from handlers.runs.why import why_run
from schema.why_api import HumanRequestWhy, RunWhy

why = APIBlueprint("why", __name__, tag="Why")


@why.get("/api/why/runs/<uuid:run_id>")
@permission("runs:read")
@why.output(RunWhy)
def get_run_why(run_id: UUID) -> Response:
    """Explain a run's status and its next step"""
    with api_process().transaction() as conn:
        return answer(why_run(conn, actor(), run_id))


@why.get("/api/why/human-requests/<uuid:request_id>")
@permission("human_loop:read")
@why.output(HumanRequestWhy)
def get_request_why(request_id: UUID) -> Response:
    """Explain the status of an agent's request and its next step"""
    with api_process().transaction() as conn:
        return answer(why_request(conn, actor(), request_id))
