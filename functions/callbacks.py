"""Where executors, and the drivers of bound runs, report: signed, batched, at least once."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, request

from functions.admission import public
from functions.answers import answer
from functions.edge import edge
from functions.openapi import WEBHOOK_HEADERS, conflicts, takes_headers
from functions.parsing import parsed
from functions.problems import Malformed
from functions.strict_json import may_hold_unstorable, mended, read_json
from handlers.callback import callback_keys, receive_callback
from handlers.plain_calls import PlainCall, is_plain
from schema.errors import BadSignature
from schema.executor_api import CallbackAnswer, CallbackBody
from schema.signature import callback_key, is_signed

FIRST_GENERATION = 1

callbacks = APIBlueprint("callbacks", __name__, tag="Callbacks")


@callbacks.post("/api/runs/<uuid:run_id>/callbacks")
@public("Signed with the key of the run and attempt (Standard Webhooks); users have no part in it.")
@callbacks.output(CallbackAnswer)
@callbacks.doc(
    responses=conflicts("gap", "n_conflict", "stale_epoch", "stale_attempt"), extensions=takes_headers(*WEBHOOK_HEADERS)
)
def post_callbacks(run_id: UUID) -> Response:
    """Report events of a run

    Signed as in Standard Webhooks. No events is a heartbeat. All or nothing, and safe to send again: 409 `gap` tells
    the number expected, 409 `n_conflict`, `stale_epoch` and `stale_attempt` mean that the sender is not up to date.
    """
    request.max_content_length = edge().settings.max_callback_bytes
    raw = request.get_data(cache=False)
    body = parsed(CallbackBody, _read(raw), where="json")
    call = PlainCall(run_id, body, FIRST_GENERATION)
    received = edge().intake.receive(call) if is_plain(body) and _is_signed_plainly(call, raw) else None
    return answer(received or _receive_alone(run_id, body, raw))


def _is_signed_plainly(call: PlainCall, raw: bytes) -> bool:
    """By the key that every run has unless somebody rotated it, so that no query is needed to know it."""
    key = callback_key(
        edge().settings.secret_key, run_id=call.run_id, attempt=call.body.attempt, generation=call.generation
    )
    return is_signed([key], raw, _signature())


def _receive_alone(run_id: UUID, body: CallbackBody, raw: bytes) -> CallbackAnswer:
    with edge().callback_transaction() as conn:
        keys = callback_keys(conn, edge().settings.secret_key, run_id=run_id, attempt=body.attempt)
        if not is_signed(keys, raw, _signature()):
            raise BadSignature()
        return receive_callback(conn, run_id, body, policy=edge().callback_policy)


def _signature() -> dict[str, str]:
    return {name: request.headers.get(name, "") for name in WEBHOOK_HEADERS}


def _read(raw: bytes) -> Any:
    """What an agent printed may hold characters that PostgreSQL cannot: they become U+FFFD, and nothing is lost."""
    try:
        body = read_json(raw)
    except ValueError as error:
        raise Malformed(f"The body is not JSON: {error}.") from None
    return mended(body) if may_hold_unstorable(raw) else body
