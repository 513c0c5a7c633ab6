"""The job worker from start to end: its context, its periodic tasks, and procrastinate's worker in a restart loop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psycopg
import structlog

from handlers.runs.start import forget_old_keys
from handlers.sessions.edit import worker_limits
from jobs import tasks
from jobs.app import app
from jobs.context import TaskContext
from jobs.files.audit_retention import delete_old_audit
from jobs.hosts import Host
from jobs.hosts.compose import end_with_project
from jobs.hosts.docker import DockerHost, DockerHostSettings
from jobs.hosts.docker_client import DockerClient
from jobs.hosts.environment import container_inputs, executor_environment
from jobs.hosts.external import ExternalHost
from jobs.hosts.process import ProcessHost, ProcessHostSettings
from jobs.hosts.settings import DockerSettings, read_docker_settings
from jobs.human_loop.expire import expire_requests
from jobs.object_store.opening import StoreOpening
from jobs.object_store.s3 import Bucket, make_store
from jobs.object_store.writing import StoreWriting
from jobs.periodic import PeriodicTask, Presence, outages, raise_alarms, running_periodically
from jobs.providers import Providers
from jobs.runs.execute import start_throttled
from jobs.runs.fold_logs import fold_logs
from jobs.runs.reconcile import look_after_executors, reclaim_failed, reclaim_runs
from jobs.runs.standstill import StandstillWatch
from jobs.runs.stop_leavers import stop_leavers
from jobs.runtime.claim_renewal import Claims
from jobs.runtime.database import CONNECT, JobDatabase, open_database, refuse_unfit_database
from jobs.runtime.executor_client import Endpoint, ExecutorClient, RetryRules
from jobs.runtime.heartbeat import Heartbeat
from jobs.runtime.settings import JobSettings
from jobs.runtime.sync_lease_renewal import SyncLeases
from jobs.workers.callbacks import CallbackRenewal
from jobs.workers.parts import PartReports
from jobs.workers.secret_key_check import check_secret_key
from jobs.workspaces.sync import expire_orphaned_leases, save_due
from schema.database_faults import is_outage
from schema.settings import BadSetting

GRACE_SECONDS = 10.0
FORCE_SECONDS = 13.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0
LOOK_SECONDS = 0.5
POLL_SECONDS = 1.0
"""procrastinate loses a notification that arrives while it finds its queue empty. The next poll finds that job."""
HEARTBEAT_SECONDS = 5.0
PRESENCE_SECONDS = 0.25
EXECUTORS_SECONDS = 2.0
CLAIMS_SECONDS = 1.0
PROVIDERS_SECONDS = 2.0
ALARMS_SECONDS = 15.0
STORE_SECONDS = 5.0
WRITING_SECONDS = 15.0
SYNC_SECONDS = 1.0
PARTS_SECONDS = 5.0
LEAVERS_SECONDS = 1.0
EXPIRY_SECONDS = 1.0
KEYS_SECONDS = 600.0
AUDIT_SECONDS = 600.0
THROTTLED_SECONDS = 1.0
TRANSCRIPT_SECONDS = 1.0

_log = structlog.stdlib.get_logger(__name__)


def work(settings: JobSettings, *, accept_loss: bool = False) -> None:
    """Work until SIGTERM or SIGINT, then finish the running jobs within GRACE_SECONDS. Raise SecretKeyUnfit."""
    for logger_name, level in (
        ("httpx", logging.WARNING),
        ("procrastinate", logging.WARNING),
        ("psycopg.pool", logging.ERROR),
    ):
        logging.getLogger(logger_name).setLevel(level)
    tasks.schedule(app, reconcile_seconds=settings.reconcile_seconds)
    heartbeat = Heartbeat(settings.worker_alive_file)
    with heartbeat.beating(), open_task_context(settings) as context:
        _check_key_first(context, accept_loss=accept_loss)
        presence = Presence(
            settings.dsn,
            claimer=context.claimer,
            limits=context.limits,
            reclaim=lambda runs: reclaim_runs(context, runs),
            expire_leases=lambda leases: expire_orphaned_leases(context, leases),
        )
        with suppress(psycopg.OperationalError):  # before the first claim; the periodic task retries
            presence.run_once()
        with running_periodically(_periodic_tasks(context, presence), closing=context.closing):
            asyncio.run(_serve(context, heartbeat))
        presence.end()
    _log.info("worker.ended")


def check_key(settings: JobSettings, *, accept_loss: bool) -> None:
    """Check the secret key and do no work. Raise SecretKeyUnfit."""
    with open_task_context(settings) as context:
        check_secret_key(context, accept_loss=accept_loss, say=say)


def _check_key_first(context: TaskContext, *, accept_loss: bool) -> None:
    """Check the secret key as soon as PostgreSQL answers. Raise SecretKeyUnfit."""
    while asyncio.run(_postgres_answers(context.settings.dsn, asyncio.Event())):
        with suppress(psycopg.OperationalError):  # it went away again
            refuse_unfit_database(context.settings.dsn, context.settings.database_pooler)
            check_secret_key(context, accept_loss=accept_loss, say=say)
            return


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def open_task_context(settings: JobSettings) -> Iterator[TaskContext]:
    """Open the context of all jobs, and close it at the end."""
    rules = RetryRules(
        attempts=settings.executor_max_retries + 1,
        delay_seconds=settings.executor_retry_delay_ms / 1000,
        status_codes=settings.executor_retry_status_codes,
    )
    executors = ExecutorClient(rules, timeout_seconds=settings.executor_timeout_seconds)
    connections = max(4, min(settings.worker_concurrency, 16) // 2 + 4)
    with open_database(settings.dsn, connections=connections) as database:
        host = make_host(settings, executors=executors, database=database)
        claims = Claims(database, lock_seconds=settings.lock_seconds)
        sync_leases = SyncLeases(database, lock_seconds=settings.lock_seconds)
        yield TaskContext(settings, database, executors, host, claims, sync_leases, open_store(settings))
    executors.close()


def open_store(settings: JobSettings) -> Bucket | None:
    return None if settings.store is None else make_store(settings.store)


def make_host(settings: JobSettings, *, executors: ExecutorClient, database: JobDatabase) -> Host:
    if settings.worker_host == "external":
        return ExternalHost(Endpoint(*settings.external_executor), executors)
    if settings.worker_host == "docker":
        return make_docker_host(settings, read_docker_settings(), executors=executors, database=database)
    providers_file, agents_dir = settings.providers_file.absolute(), settings.agents_dir.absolute()
    environment = executor_environment(os.environ, providers_file=providers_file, agents_dir=agents_dir)
    host = ProcessHostSettings(
        workers=_private(settings.runyard_data_dir.absolute() / "workers"),
        keys=settings.secret_keys,
        environment=environment,
        start_timeout_seconds=settings.executor_start_timeout_seconds,
        spares=settings.executor_spares,
        least_free_mb=settings.disk_stop_free_mb,
    )
    return ProcessHost(host, executors=executors)


def make_docker_host(
    settings: JobSettings, docker: DockerSettings, *, executors: ExecutorClient, database: JobDatabase
) -> DockerHost:
    host = DockerHostSettings(
        deployment=docker.worker_deployment,
        image=docker.executor_image,
        keys=settings.secret_keys,
        executor_inputs=partial(container_inputs, os.environ, providers_file=settings.providers_file.absolute()),
        limits_of=lambda session_id: database.transact(worker_limits, session_id),
        limits=docker.limits,
        publish_address=docker.worker_publish_address,
        subnet=docker.worker_subnet,
        cut_off=docker.worker_cut_off,
        start_timeout_seconds=settings.executor_start_timeout_seconds,
    )
    return DockerHost(host, executors=executors, docker_client=DockerClient())


def _private(folder: Path) -> Path:
    """Create a private folder and return it. Raise BadSetting when that fails."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadSetting(f"RUNYARD_DATA_DIR: {folder} could not be created: {error.strerror}.") from None
    return folder


def _periodic_tasks(context: TaskContext, presence: Presence) -> list[PeriodicTask]:
    settings = context.settings
    providers = Providers(
        context.database, providers_file=settings.providers_file.absolute(), agents_dir=settings.agents_dir.absolute()
    )
    store = context.store if isinstance(context.store, Bucket) else None
    writing = StoreWriting(store) if store else None
    return [
        *([PeriodicTask("store", StoreOpening(store).run_once, STORE_SECONDS)] if store else []),
        *([PeriodicTask("writing", writing.run_once, WRITING_SECONDS)] if writing else []),
        PeriodicTask("providers", providers.run_once, PROVIDERS_SECONDS),
        PeriodicTask("presence", presence.run_once, PRESENCE_SECONDS),
        PeriodicTask("executors", lambda: look_after_executors(context), EXECUTORS_SECONDS),
        PeriodicTask("standstill", StandstillWatch(context).run_once, EXECUTORS_SECONDS),
        PeriodicTask("failed claims", lambda: reclaim_failed(context), CLAIMS_SECONDS),
        PeriodicTask("callbacks", CallbackRenewal(context).run_once, EXECUTORS_SECONDS),
        PeriodicTask("claims", context.claims.renew_all, context.claims.interval_seconds),
        PeriodicTask("sync leases", context.sync_leases.renew_all, context.sync_leases.interval_seconds),
        PeriodicTask(
            "throttled runs",
            lambda: start_throttled(context),
            THROTTLED_SECONDS,
        ),
        PeriodicTask("parts", PartReports(context, writing).run_once, PARTS_SECONDS),
        PeriodicTask("syncs", lambda: save_due(context), SYNC_SECONDS),
        PeriodicTask("expiry", lambda: expire_requests(context), EXPIRY_SECONDS),
        PeriodicTask("leavers", lambda: stop_leavers(context), LEAVERS_SECONDS),
        PeriodicTask("transcripts", lambda: fold_logs(context), TRANSCRIPT_SECONDS),
        PeriodicTask("idempotency keys", partial(context.database.transact, forget_old_keys), KEYS_SECONDS),
        PeriodicTask("old audit", lambda: delete_old_audit(context), AUDIT_SECONDS),
        PeriodicTask("alarms", partial(raise_alarms, context.database), ALARMS_SECONDS),
    ]


async def _serve(context: TaskContext, heartbeat: Heartbeat) -> None:
    """Run procrastinate's worker. When it ends by itself, restart it after a pause."""
    loop = asyncio.get_running_loop()
    # Synchronous tasks run in the loop's default executor, which has only cores + 4 threads otherwise.
    loop.set_default_executor(ThreadPoolExecutor(context.settings.worker_concurrency + 1, thread_name_prefix="job"))
    stop_requested = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _end, context, stop_requested)
    pause, beating = FIRST_PAUSE_SECONDS, asyncio.create_task(heartbeat.beat_with_loop())
    while await _postgres_answers(context.settings.dsn, stop_requested):
        began = loop.time()
        await _work_until(context, stop_requested)
        pause = FIRST_PAUSE_SECONDS if loop.time() - began > 10 else min(pause * 2, LONGEST_PAUSE_SECONDS)
        await _wait(stop_requested, pause)
    beating.cancel()


async def _postgres_answers(dsn: str, stop_requested: asyncio.Event) -> bool:
    """Wait for PostgreSQL by polling: an opening pool would poll ever more rarely. Return False on a stop request."""
    while not stop_requested.is_set():
        try:
            async with await psycopg.AsyncConnection.connect(dsn, **CONNECT):
                return True
        except psycopg.OperationalError as error:
            outages.tell(error)
        await _wait(stop_requested, LOOK_SECONDS)
    return False


def _end(context: TaskContext, stop_requested: asyncio.Event) -> None:
    """Request the stop. Kill a job that outlasts the grace: its run's claim expires, and another job continues."""
    stop_requested.set()
    context.closing.set()
    force = threading.Timer(FORCE_SECONDS, _cut_off, [context.settings])
    force.daemon = True
    force.start()


def _cut_off(settings: JobSettings) -> None:
    _log.error("worker.killed", seconds=FORCE_SECONDS)
    end_with_project(settings.worker_host)
    os._exit(1)


async def _work_until(context: TaskContext, stop_requested: asyncio.Event) -> None:
    """Run procrastinate's worker once, until it ends or a stop is requested."""
    working = asyncio.create_task(_work(context))
    stopping = asyncio.create_task(stop_requested.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if stop_requested.is_set():
        working.cancel()
    try:
        await working
    except asyncio.CancelledError:
        return
    except Exception as error:  # noqa: BLE001 - the outermost loop: it continues after any error
        cause = error if isinstance(error, psycopg.Error) else error.__cause__  # as procrastinate raises it
        if isinstance(cause, Exception) and is_outage(cause):
            outages.tell(cause)
        else:
            _log.exception("worker.failed")
    else:
        _log.warning("worker.stopped_by_itself")


async def _work(context: TaskContext) -> None:
    try:
        await app.open_async()
        await app.run_worker_async(
            queues=[tasks.RUNS, tasks.CONTROL],
            name=context.settings.owner,
            concurrency=context.settings.worker_concurrency,
            fetch_job_polling_interval=POLL_SECONDS,
            shutdown_graceful_timeout=GRACE_SECONDS,
            update_heartbeat_interval=HEARTBEAT_SECONDS,
            install_signal_handlers=False,
            additional_context={"task_context": context},
        )
    finally:
        await app.close_async()


async def _wait(stop_requested: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop_requested.wait(), seconds)
    except TimeoutError:
        return
