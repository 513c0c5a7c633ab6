"""Enqueue jobs in the transaction that needs them; jobs/ holds the tasks."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from schema.sql import Conn, fetch_value, jsonb
from schema.wire import Json

Task = Literal["execute_run", "stop_run", "park_run", "deliver_answer", "perform_request", "sync_workspace"]


def defer_run(conn: Conn, run_id: UUID, *, delay_seconds: float = 0) -> None:
    """Enqueue the claim and start of a run, after the delay at the earliest."""
    _defer(conn, "execute_run", {"run_id": str(run_id)}, queue="runs", delay_seconds=delay_seconds)


def defer_stop(conn: Conn, run_id: UUID) -> None:
    """Enqueue a job that tells the run's executor to stop it."""
    _defer(conn, "stop_run", {"run_id": str(run_id)}, queue="control")


def defer_park(conn: Conn, run_id: UUID) -> None:
    """Enqueue a job that ends the agent of a parked run."""
    _defer(conn, "park_run", {"run_id": str(run_id)}, queue="control")


def defer_delivery(conn: Conn, request_id: UUID) -> None:
    """Enqueue the delivery of a stored answer to the agent that asked."""
    _defer(conn, "deliver_answer", {"request_id": str(request_id)}, queue="control")


def defer_job_request(conn: Conn, job_request_id: UUID) -> None:
    """Enqueue a job request, which only the job worker can do."""
    _defer(conn, "perform_request", {"job_request_id": str(job_request_id)}, queue="control")


def defer_sync(conn: Conn, session_id: UUID, *, claim: int = 1) -> None:
    """Enqueue a sync of the session's workspace for the sync lease with this claim."""
    _defer(conn, "sync_workspace", {"session_id": str(session_id), "claim": claim}, queue="control")


def _defer(conn: Conn, task: Task, args: Json, *, queue: str, delay_seconds: float = 0) -> None:
    fetch_value(conn, "defer_job", queue=queue, task=task, priority=0, args=jsonb(args), delay_seconds=delay_seconds)
