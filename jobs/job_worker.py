"""The job worker from start to end: its context, its duties, procrastinate's worker within a loop that restarts it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psycopg
import structlog

from handlers.runs.limits import start_missed_throttled
from handlers.sessions.edit import worker_limits
from jobs import tasks
from jobs.app import app
from jobs.context import TaskContext
from jobs.hosts import Host
from jobs.hosts.docker import DockerHost, DockerHostSettings
from jobs.hosts.docker_client import DockerClient
from jobs.hosts.environment import container_inputs, executor_environment
from jobs.hosts.external import ExternalHost
from jobs.hosts.process import ProcessHost, ProcessHostSettings
from jobs.hosts.settings import DockerSettings, read_docker_settings
from jobs.human_loop.expire import expire_requests
from jobs.object_store.s3 import Bucket, StoreOpening, make_store
from jobs.periodic import Duty, Presence, doing, raise_alarms
from jobs.providers import Providers
from jobs.runs.reconcile import look_after_executors, reclaim_runs
from jobs.runs.stop_leavers import stop_leavers
from jobs.runtime.claim_renewal import Claims
from jobs.runtime.database import CONNECT, JobDatabase, open_database
from jobs.runtime.executor_client import Endpoint, ExecutorClient, RetryRules
from jobs.runtime.settings import JobSettings
from jobs.runtime.sync_lease_renewal import Turns
from jobs.workspaces.sync import give_back_turns, save_due
from schema.settings import BadSetting

GRACE_SECONDS = 10.0
FORCE_SECONDS = 13.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0
LOOK_SECONDS = 0.5
POLL_SECONDS = 1.0
"""procrastinate forgets a notification that comes while it finds its queue empty; that job waits for the next poll."""
HEARTBEAT_SECONDS = 5.0
PRESENCE_SECONDS = 0.25
EXECUTORS_SECONDS = 2.0
PROVIDERS_SECONDS = 2.0
ALARMS_SECONDS = 15.0
STORE_SECONDS = 5.0
SAVING_SECONDS = 1.0
LEAVERS_SECONDS = 1.0
EXPIRY_SECONDS = 1.0
HELD_SECONDS = 1.0

_log = structlog.stdlib.get_logger(__name__)


def work(settings: JobSettings) -> None:
    """Until SIGTERM or SIGINT: then what is in hand is finished, for at most GRACE_SECONDS."""
    for chatty, level in (
        ("httpx", logging.WARNING),
        ("procrastinate", logging.WARNING),
        ("psycopg.pool", logging.ERROR),
    ):
        logging.getLogger(chatty).setLevel(level)
    tasks.schedule(app, reconcile_seconds=settings.reconcile_seconds)
    with open_task_context(settings) as context:
        presence = Presence(
            settings.dsn,
            claimer=context.claimer,
            limits=context.limits,
            reclaim=lambda runs: reclaim_runs(context, runs),
            give_back=lambda turns: give_back_turns(context, turns),
        )
        with suppress(psycopg.OperationalError):  # before anything is claimed; the duty goes on trying
            presence.run_once()
        with doing(_duties(context, presence), closing=context.closing):
            asyncio.run(_serve(context))
        presence.end()
    _log.info("worker.ended")


@contextmanager
def open_task_context(settings: JobSettings) -> Iterator[TaskContext]:
    """Everything that jobs need, and its end."""
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
        turns = Turns(database, lock_seconds=settings.lock_seconds)
        yield TaskContext(settings, database, executors, host, claims, turns, open_store(settings))
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
        secret=settings.runyard_secret_key,
        environment=environment,
        start_timeout_seconds=settings.executor_start_timeout_seconds,
        spares=settings.executor_spares,
    )
    return ProcessHost(host, executors=executors)


def make_docker_host(
    settings: JobSettings, docker: DockerSettings, *, executors: ExecutorClient, database: JobDatabase
) -> DockerHost:
    host = DockerHostSettings(
        deployment=docker.worker_deployment,
        image=docker.executor_image,
        secret=settings.runyard_secret_key,
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
    """Raises BadSettings."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadSetting(f"RUNYARD_DATA_DIR: {folder} cannot be made: {error.strerror}.") from None
    return folder


def _duties(context: TaskContext, presence: Presence) -> list[Duty]:
    settings = context.settings
    providers = Providers(
        context.database, providers_file=settings.providers_file.absolute(), agents_dir=settings.agents_dir.absolute()
    )
    opening = (
        [Duty("store", StoreOpening(context.store).run_once, STORE_SECONDS)]
        if isinstance(context.store, Bucket)
        else []
    )
    return [
        *opening,
        Duty("providers", providers.run_once, PROVIDERS_SECONDS),
        Duty("presence", presence.run_once, PRESENCE_SECONDS),
        Duty("executors", lambda: look_after_executors(context), EXECUTORS_SECONDS),
        Duty("claims", context.claims.hold_all, context.claims.interval_seconds),
        Duty("turns", context.turns.hold_all, context.turns.interval_seconds),
        Duty("held", partial(context.database.transact, start_missed_throttled, context.run_limits), HELD_SECONDS),
        Duty("saving", lambda: save_due(context), SAVING_SECONDS),
        Duty("expiry", lambda: expire_requests(context), EXPIRY_SECONDS),
        Duty("leavers", lambda: stop_leavers(context), LEAVERS_SECONDS),
        Duty("alarms", partial(raise_alarms, context.database), ALARMS_SECONDS),
    ]


async def _serve(context: TaskContext) -> None:
    """Run procrastinate's worker; when it ends by itself, begin again after a pause."""
    loop = asyncio.get_running_loop()
    # Synchronous tasks run in the loop's default threads, of which there would be cores + 4 otherwise.
    loop.set_default_executor(ThreadPoolExecutor(context.settings.worker_concurrency + 1, thread_name_prefix="job"))
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _end, context, told)
    pause = FIRST_PAUSE_SECONDS
    while await _postgres_answers(context.settings.dsn, told):
        began = loop.time()
        await _work_until(context, told)
        pause = FIRST_PAUSE_SECONDS if loop.time() - began > 10 else min(pause * 2, LONGEST_PAUSE_SECONDS)
        await _wait(told, pause)


async def _postgres_answers(dsn: str, told: asyncio.Event) -> bool:
    """Wait for PostgreSQL by short looks; a pool that opens would look ever more rarely. False when told to end."""
    is_away = False
    while not told.is_set():
        try:
            async with await psycopg.AsyncConnection.connect(dsn, **CONNECT):
                return True
        except psycopg.OperationalError as error:
            if not is_away:
                _log.warning("postgres.away", why=str(error))
            is_away = True
        await _wait(told, LOOK_SECONDS)
    return False


def _end(context: TaskContext, told: asyncio.Event) -> None:
    """A job that outlasts the grace is cut off: its run's claim runs out, and the run goes on by that."""
    told.set()
    context.closing.set()
    force = threading.Timer(FORCE_SECONDS, _cut_off)
    force.daemon = True
    force.start()


def _cut_off() -> None:
    _log.error("worker.cut_off", seconds=FORCE_SECONDS)
    os._exit(1)


async def _work_until(context: TaskContext, told: asyncio.Event) -> None:
    """One life of procrastinate's worker."""
    working = asyncio.create_task(_work(context))
    telling = asyncio.create_task(told.wait())
    await asyncio.wait({working, telling}, return_when=asyncio.FIRST_COMPLETED)
    telling.cancel()
    if told.is_set():
        working.cancel()
    try:
        await working
    except asyncio.CancelledError:
        return
    except Exception:  # noqa: BLE001 - the outermost loop of the worker: PostgreSQL was away, say; it goes on when it is back
        _log.exception("worker.broke")
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


async def _wait(told: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(told.wait(), seconds)
    except TimeoutError:
        return
