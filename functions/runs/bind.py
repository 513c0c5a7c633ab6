"""Bind runs that an external program drives: they are the session's live run and report by callbacks."""

from __future__ import annotations

from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, g

from functions.http.auth import actor, permission
from functions.http.openapi import conflicts, takes_headers
from functions.http.schemas import Nothing, answer
from functions.runs.schemas import BindBody, BoundAnswer
from functions.runs.start import refuse_large_prompt
from functions.runtime.process import api_process
from handlers.runs.bind import Bind, Bound, bind_run, rotate_callback_key

OVERLAP_SECONDS = 300.0
"""The lifetime of a signature: callbacks on their way that were signed with the previous key still count."""
binding = APIBlueprint("binding", __name__, tag="Runs")


@binding.post("/api/runs/<uuid:run_id>/bind")
@permission("runs:bind")
@binding.input(BindBody)
@binding.output(BoundAnswer, status_code=201)
@binding.doc(responses=conflicts("session_busy", "run_exists"), extensions=takes_headers("traceparent"))
def post_bind(run_id: UUID, json_data: BindBody) -> Response:
    """Bind a run that an external program drives

    The caller chooses the run's id. The answer shows the callback key once; `bind/rotate` makes a new key.
    """
    refuse_large_prompt(json_data.prompt)
    request = Bind(
        run_id=run_id,
        session_id=json_data.session_id,
        provider=json_data.provider,
        prompt=json_data.prompt,
        title=json_data.title,
        traceparent=g.traceparent,
    )
    settings = api_process().settings
    with api_process().transaction() as conn:
        bound = bind_run(
            conn,
            actor(),
            request,
            secret=settings.secret_key,
            lease_seconds=settings.run_lease_seconds,
            shares=settings.run_shares,
        )
    return answer(_answer(bound), 201, Location=f"/api/runs/{run_id}")


@binding.post("/api/runs/<uuid:run_id>/bind/rotate")
@permission("runs:bind")
@binding.input(Nothing)
@binding.output(BoundAnswer)
@binding.doc(responses=conflicts("not_bound", "run_finished"))
def rotate_key(run_id: UUID, json_data: Nothing) -> Response:  # noqa: ARG001
    """Make a new callback key for a bound run

    Runyard accepts the previous key for five more minutes.
    """
    secret = api_process().settings.secret_key
    with api_process().transaction() as conn:
        bound = rotate_callback_key(conn, actor(), run_id, secret=secret, overlap_seconds=OVERLAP_SECONDS)
    return answer(_answer(bound))


def _answer(bound: Bound) -> BoundAnswer:
    run = bound.run
    return BoundAnswer(
        run_id=run.id,
        session_id=run.session_id,
        attempt=run.attempt,
        epoch=run.epoch or 0,
        callback_url=f"{api_process().settings.public_url}/api/runs/{run.id}/callbacks",
        callback_key=bound.callback_key,
    )
