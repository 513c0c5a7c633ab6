"""Receive callbacks from executors and the drivers of bound runs: signed, batched, at least once.

The fast path (fast_path.py) stores append-only calls; all other calls reach this route.
"""

from __future__ import annotations

from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, request

from functions.callbacks.fast_path import FAILURE, PARSED
from functions.callbacks.signed_call import CallbackHeaders, callback_headers, read_body
from functions.http.auth import public
from functions.http.openapi import WEBHOOK_HEADERS, conflicts, takes_headers
from functions.http.schemas import answer
from functions.runtime.process import api_process
from handlers.callbacks.receive import callback_keys, receive_callback
from schema.errors import BadSignature, Invalid
from schema.executor_api import CallbackAnswer, CallbackBody
from schema.signature import ATTEMPT_HEADER

callbacks = APIBlueprint("callbacks", __name__, tag="Callbacks")


@callbacks.post("/api/runs/<uuid:run_id>/callbacks")
@public("Callbacks are signed with the key of the run and attempt (Standard Webhooks), not by users.")
@callbacks.output(CallbackAnswer)
@callbacks.doc(
    responses=conflicts("gap", "n_conflict", "stale_epoch", "stale_attempt"),
    extensions=takes_headers(*WEBHOOK_HEADERS, ATTEMPT_HEADER),
)
def post_callbacks(run_id: UUID) -> Response:
    """Report events of a run

    Signed as in Standard Webhooks; the signature is checked before the body is parsed. A call without events is a
    heartbeat. Runyard stores all events of a call or none, and a call is safe to repeat. 409 `gap` carries the expected
    number; `n_conflict`, `stale_epoch` and `stale_attempt` mean that the sender is outdated.
    """
    headers = callback_headers(request.environ)
    if headers is None:
        raise BadSignature()
    request.max_content_length = api_process().settings.max_callback_bytes
    raw = request.get_data(cache=False)
    _refuse_unsigned(run_id, raw, headers)
    body = _body(raw, headers)
    if failure := request.environ.get(FAILURE):
        raise failure
    with api_process().callback_transaction() as conn:
        return answer(receive_callback(conn, run_id, body, policy=api_process().callback_policy))


def _refuse_unsigned(run_id: UUID, raw: bytes, headers: CallbackHeaders) -> None:
    """Raise BadSignature unless a key of the run signed these bytes, and NotFound for an unknown run."""
    with api_process().callback_transaction() as conn:
        secrets = api_process().settings.secret_keys.all
        keys = callback_keys(conn, secrets, run_id=run_id, attempt=headers.attempt)
    if not headers.signature.is_by(keys, raw):
        raise BadSignature()


def _body(raw: bytes, headers: CallbackHeaders) -> CallbackBody:
    """Return the body, which the fast path may have parsed already."""
    parsed = request.environ.get(PARSED)
    if isinstance(parsed, Invalid):
        raise parsed
    return parsed if isinstance(parsed, CallbackBody) else read_body(raw, headers)
