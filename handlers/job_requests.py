"""Store requests to the job worker, which alone reaches executors, and read their results."""

from __future__ import annotations

from uuid import UUID

from handlers.access.permissions import Actor
from handlers.enqueue import defer_job_request
from schema.job_requests import JobRequest
from schema.rows import JobRequestRow
from schema.sql import Conn, execute, fetch_one, fetch_value, jsonb
from schema.wire import Json


def request_job(conn: Conn, actor: Actor, request: JobRequest) -> UUID:
    """Store the request with its job; return the id under which its result will be found."""
    job_request_id: UUID = fetch_value(
        conn, "insert_operation", kind=request.kind, arguments=jsonb(request.to_json()), requested_by=actor.user_id
    )
    defer_job_request(conn, job_request_id)
    return job_request_id


def job_request(conn: Conn, job_request_id: UUID) -> JobRequestRow | None:
    return fetch_one(conn, "operation", JobRequestRow, operation_id=job_request_id)


def abandon_job_request(conn: Conn, job_request_id: UUID) -> None:
    """Finish a request whose client is gone, so that a job worker never performs it later."""
    finish_job_request(conn, job_request_id, error="The request was cancelled: no client waits for it.")


def forget_job_request(conn: Conn, job_request_id: UUID) -> None:
    """Delete a finished request with its result."""
    execute(conn, "forget_operation", operation_id=job_request_id)


def finish_job_request(
    conn: Conn, job_request_id: UUID, *, result: Json | None = None, error: str | None = None
) -> None:
    """Record the outcome: one of result and error."""
    execute(
        conn,
        "finish_operation",
        operation_id=job_request_id,
        result=None if result is None else jsonb(result),
        error=error,
    )
