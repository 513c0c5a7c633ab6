"""Ask the job worker to do something, and wait for its result: only the job worker reaches executors."""

from __future__ import annotations

import json
import time
from uuid import UUID

from flask import Response

from functions.http.auth import actor
from functions.runtime.process import api_process
from functions.runtime.stream_slots import StreamSlot
from handlers.job_requests import give_up, operation, request_operation
from schema.errors import Unavailable
from schema.rows import OperationRow
from schema.wire import Json

GRACE_SECONDS = 10.0
LOOK_SECONDS = 0.1


def perform(kind: str, arguments: Json, *, wait_seconds: float) -> Response:
    """Have the job worker do it, and answer with its result."""
    return Response(json.dumps(performed(kind, arguments, wait_seconds=wait_seconds)), mimetype="application/json")


def performed(kind: str, arguments: Json, *, wait_seconds: float) -> Json:
    """What the job worker answers. Raises Unavailable when it does not take it up in time, or fails."""
    with api_process().streams.place() as place:
        with api_process().transaction() as conn:
            operation_id = request_operation(conn, actor(), kind, arguments)
        done = _outcome(operation_id, place, seconds=wait_seconds + GRACE_SECONDS)
    if done is None:
        with api_process().transaction() as conn:
            give_up(conn, operation_id)
        raise Unavailable("The job worker did not take it up in time: is it running?", code="worker_away")
    if done.error is not None:
        raise Unavailable(f"The job worker could not do it: {done.error}", code="operation_failed")
    return done.result or {}


def _outcome(operation_id: UUID, place: StreamSlot, *, seconds: float) -> OperationRow | None:
    """The finished operation; None if it did not finish in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not api_process().streams.is_ending:
        with api_process().transaction() as conn:
            found = operation(conn, operation_id)
        if found is not None and found.finished_at is not None:
            return found
        place.bell.wait(LOOK_SECONDS)
    return None
