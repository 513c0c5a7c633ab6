"""Procrastinate's tasks by name: each calls a verb of this package with the task context."""

from __future__ import annotations

from uuid import UUID

import procrastinate
from procrastinate import JobContext, RetryStrategy
from procrastinate.jobs import Status

from jobs.context import TaskContext
from jobs.human_loop.deliver import ExecutorAway
from jobs.runtime.database import Away
from jobs.runtime.executor_client import ExecutorError
from schema.errors import RunyardError
from schema.isolation import isolated

RUNS, CONTROL = "runs", "control"
STALLED_SECONDS = 15.0
KEPT_HOURS = 24

WHILE_POSTGRES_RETURNS = RetryStrategy(max_attempts=5, linear_wait=1, retry_exceptions=Away)
UNTIL_DELIVERED = RetryStrategy(max_attempts=4, linear_wait=1, retry_exceptions=(*Away, ExecutorAway, ExecutorError))


class NoTaskContext(RunyardError):
    """Only `python -m jobs` can do jobs: a worker of procrastinate's own command line has no task context."""


def execute_run(context: JobContext, run_id: str) -> str:
    from jobs.runs.execute import execute_run

    return execute_run(_task_context(context), UUID(run_id))


def stop_run(context: JobContext, run_id: str) -> None:
    from jobs.runs.stop import stop_run

    stop_run(_task_context(context), UUID(run_id))


def park_run(context: JobContext, run_id: str) -> None:
    from jobs.runs.park import park_run

    park_run(_task_context(context), UUID(run_id))


def deliver_answer(context: JobContext, request_id: str) -> None:
    from jobs.human_loop.deliver import deliver_answer

    deliver_answer(_task_context(context), UUID(request_id))


def perform_request(context: JobContext, job_request_id: str) -> None:
    from jobs.perform_request import perform_request

    perform_request(_task_context(context), UUID(job_request_id))


def reconcile_runs(context: JobContext, timestamp: int) -> None:  # noqa: ARG001  procrastinate passes it to every periodic task
    from jobs.runs.reconcile import reconcile_runs

    reconcile_runs(_task_context(context))


def look_after_workers(context: JobContext, timestamp: int) -> None:  # noqa: ARG001  procrastinate passes it to every periodic task
    from jobs.workers.retirement import look_after_workers

    look_after_workers(_task_context(context))


def sync_workspace(context: JobContext, session_id: str, claim: int) -> str:
    from jobs.workspaces.sync import sync_workspace

    return sync_workspace(_task_context(context), UUID(session_id), claim)


def reconcile_syncs(context: JobContext, timestamp: int) -> None:  # noqa: ARG001  procrastinate passes it to every periodic task
    from jobs.workspaces.reconcile_syncs import reconcile_syncs

    reconcile_syncs(_task_context(context))


def collect_garbage(context: JobContext, timestamp: int) -> None:  # noqa: ARG001  procrastinate passes it to every periodic task
    from jobs.workspaces.collect_garbage import collect_garbage

    collect_garbage(_task_context(context))


def verify_objects(context: JobContext, timestamp: int) -> None:  # noqa: ARG001  procrastinate passes it to every periodic task
    from jobs.workspaces.verify_objects import verify_objects

    verify_objects(_task_context(context))


async def retry_stalled_jobs(context: JobContext, timestamp: int) -> None:  # noqa: ARG001  procrastinate passes it to every periodic task
    """Requeue the stalled jobs of dead job workers; claims fence the runs themselves.

    Fail a stalled periodic job instead, which releases its lock: the next one is queued or will be.
    """
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS):
        with isolated("job.not_requeued", job=job.id):
            if job.queueing_lock is None:
                await manager.retry_job(job)
            else:
                await manager.finish_job(job, status=Status.FAILED, delete_job=False)


async def remove_old_jobs(context: JobContext, timestamp: int) -> None:  # noqa: ARG001  procrastinate passes it to every periodic task
    await context.app.job_manager.delete_old_jobs(
        KEPT_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
    )


def register(app: procrastinate.App) -> None:
    """Register all tasks under their own names, by which handlers/enqueue.py defers them.

    A lock allows one pass of each periodic task at a time: long passes would take all slots from the jobs of runs. Only
    `retry_stalled_jobs` has no lock, since it releases the locks of dead job workers.
    """
    for task, queue, retry in (
        (execute_run, RUNS, WHILE_POSTGRES_RETURNS),
        (stop_run, CONTROL, WHILE_POSTGRES_RETURNS),
        (park_run, CONTROL, WHILE_POSTGRES_RETURNS),
        (deliver_answer, CONTROL, UNTIL_DELIVERED),
        (perform_request, CONTROL, WHILE_POSTGRES_RETURNS),
        (sync_workspace, CONTROL, WHILE_POSTGRES_RETURNS),
    ):
        app.task(name=task.__name__, queue=queue, retry=retry, pass_context=True)(task)
    for periodic_task in (
        reconcile_runs,
        look_after_workers,
        reconcile_syncs,
        collect_garbage,
        verify_objects,
        retry_stalled_jobs,
        remove_old_jobs,
    ):
        name = periodic_task.__name__
        lock = None if periodic_task is retry_stalled_jobs else name
        app.task(name=name, queue=CONTROL, lock=lock, queueing_lock=name, pass_context=True)(periodic_task)


def schedule(app: procrastinate.App, *, reconcile_seconds: int) -> None:
    """Make this worker defer the periodic tasks. The sixth field of a cron line is seconds."""
    for name, cron in (
        ("reconcile_runs", f"* * * * * */{reconcile_seconds}"),
        ("look_after_workers", f"* * * * * */{reconcile_seconds}"),
        ("reconcile_syncs", "* * * * * 20"),
        ("collect_garbage", "43 * * * *"),
        ("verify_objects", "*/10 * * * *"),
        ("retry_stalled_jobs", "* * * * * */5"),
        ("remove_old_jobs", "17 * * * *"),
    ):
        app.periodic(cron=cron)(app.tasks[name])


def _task_context(context: JobContext) -> TaskContext:
    task_context = context.additional_context.get("task_context")
    if not isinstance(task_context, TaskContext):
        raise NoTaskContext
    return task_context
