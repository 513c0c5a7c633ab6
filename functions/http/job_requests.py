"""Ask the job worker to do something, and wait for its result: only the job worker reaches executors."""

from __future__ import annotations

import time
from typing import TypeVar
from uuid import UUID

from flask import Response
from pydantic import ValidationError

from functions.http.auth import actor
from functions.http.schemas import answer
from functions.runtime.process import api_process
from functions.runtime.stream_slots import StreamSlot
from handlers.job_requests import abandon_job_request, forget_job_request, job_request, request_job
from schema.errors import Unavailable
from schema.job_requests import JobRequest
from schema.rows import JobRequestRow
from schema.wire import Wire

GRACE_SECONDS = 10.0
LOOK_SECONDS = 0.1
Result = TypeVar("Result", bound=Wire)


def perform(request: JobRequest, result: type[Result], *, wait_seconds: float) -> Response:
    """Have the job worker do it, and answer with its result."""
    return answer(performed(request, result, wait_seconds=wait_seconds))


def performed(
    request: JobRequest, result: type[Result], *, wait_seconds: float, grace_seconds: float | None = None
) -> Result:
    """The job worker's result, within the wait and the grace (10 s unless said).

    Raises Unavailable when no job worker takes the request up in time, or when it fails.
    """
    grace = GRACE_SECONDS if grace_seconds is None else grace_seconds
    with api_process().stream_slots.slot(actor().user_id) as slot:
        with api_process().transaction() as conn:
            job_request_id = request_job(conn, actor(), request)
        done = _outcome(job_request_id, slot, seconds=wait_seconds + grace)
    if done is None:
        with api_process().transaction() as conn:
            abandon_job_request(conn, job_request_id)
        raise Unavailable(
            "No job worker took the request in time. Check that a job worker is running.", code="job_worker_unavailable"
        )
    if request.is_forgotten:
        with api_process().transaction() as conn:
            forget_job_request(conn, job_request_id)
    if done.error is not None:
        raise Unavailable(f"The job worker failed the request: {done.error}", code="operation_failed")
    try:
        return result.model_validate(done.result or {})
    except ValidationError:
        detail = "The job worker's result cannot be read: do the API and the job worker run the same version?"
        raise Unavailable(detail, code="operation_failed") from None


def _outcome(job_request_id: UUID, slot: StreamSlot, *, seconds: float) -> JobRequestRow | None:
    """The finished request; None if it did not finish in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not api_process().stream_slots.is_ending:
        with api_process().transaction() as conn:
            request = job_request(conn, job_request_id)
        if request is not None and request.finished_at is not None:
            return request
        slot.wake_up.wait(LOOK_SECONDS)
    return None
