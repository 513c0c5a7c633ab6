"""Receive callbacks from executors and the drivers of bound runs: signed, batched, at least once.

The fast path (fast_path.py) stores append-only calls; all other calls reach this route.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, request

from functions.callbacks.fast_path import FAILURE
from functions.http.auth import public
from functions.http.openapi import WEBHOOK_HEADERS, conflicts, takes_headers
from functions.http.parsing import parsed
from functions.http.problems import MalformedJson
from functions.http.schemas import answer
from functions.http.strict_json import read_sanitized
from functions.runtime.process import api_process
from handlers.callbacks.receive import callback_keys, receive_callback
from schema.errors import BadSignature
from schema.executor_api import CallbackAnswer, CallbackBody
from schema.signature import is_signed

callbacks = APIBlueprint("callbacks", __name__, tag="Callbacks")


@callbacks.post("/api/runs/<uuid:run_id>/callbacks")
@public("Callbacks are signed with the key of the run and attempt (Standard Webhooks), not by users.")
@callbacks.output(CallbackAnswer)
@callbacks.doc(
    responses=conflicts("gap", "n_conflict", "stale_epoch", "stale_attempt"), extensions=takes_headers(*WEBHOOK_HEADERS)
)
def post_callbacks(run_id: UUID) -> Response:
    """Report events of a run

    Signed as in Standard Webhooks. A call without events is a heartbeat. Runyard stores all events of a call or none,
    and a call is safe to repeat. 409 `gap` carries the expected number; `n_conflict`, `stale_epoch` and `stale_attempt`
    mean that the sender is outdated.
    """
    request.max_content_length = api_process().settings.max_callback_bytes
    raw = request.get_data(cache=False)
    body = parsed(CallbackBody, _read(raw), where="json")
    if failure := request.environ.get(FAILURE):
        raise failure
    return answer(_receive(run_id, body, raw))


def _receive(run_id: UUID, body: CallbackBody, raw: bytes) -> CallbackAnswer:
    with api_process().callback_transaction() as conn:
        keys = callback_keys(conn, api_process().settings.secret_key, run_id=run_id, attempt=body.attempt)
        if not is_signed(keys, raw, {name: request.headers.get(name, "") for name in WEBHOOK_HEADERS}):
            raise BadSignature()
        return receive_callback(conn, run_id, body, policy=api_process().callback_policy)


def _read(raw: bytes) -> Any:
    try:
        return read_sanitized(raw)
    except ValueError as error:
        raise MalformedJson(f"The body is not JSON: {error}.") from None
