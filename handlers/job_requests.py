"""What the API asks of the job worker, which alone reaches executors: written down, done by a job, read back."""

from __future__ import annotations

from uuid import UUID

from handlers.access.permissions import Actor
from handlers.enqueue import defer_operation
from schema.rows import OperationRow
from schema.sql import Conn, execute, fetch_one, fetch_value, jsonb
from schema.wire import Json


def request_operation(conn: Conn, actor: Actor, kind: str, arguments: Json) -> UUID:
    """Have it done; its id to ask for the result with."""
    operation_id: UUID = fetch_value(
        conn, "insert_operation", kind=kind, arguments=jsonb(arguments), requested_by=actor.user_id
    )
    defer_operation(conn, operation_id)
    return operation_id


def operation(conn: Conn, operation_id: UUID) -> OperationRow | None:
    return fetch_one(conn, "operation", OperationRow, operation_id=operation_id)


def give_up(conn: Conn, operation_id: UUID) -> None:
    """What has not been taken up is never done: whoever asked for it was told that nothing came of it."""
    finish_operation(conn, operation_id, error="It was given up: nobody waits for it any more.")


def finish_operation(conn: Conn, operation_id: UUID, *, result: Json | None = None, error: str | None = None) -> None:
    """Record the outcome: one of result and error."""
    execute(
        conn,
        "finish_operation",
        operation_id=operation_id,
        result=None if result is None else jsonb(result),
        error=error,
    )
