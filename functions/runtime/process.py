"""Hold the state of one API process, with separate database connections for people and for callbacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from flask import Flask, current_app

from functions.runtime.callback_batching import CallbackBatcher
from functions.runtime.database import Database, OneConnection, Pool
from functions.runtime.log_notifier import LogNotifier, NoNotifier, Notifier
from functions.runtime.periodic import Periodic
from functions.runtime.settings import ApiSettings
from functions.runtime.stream_slots import StreamSlots
from handlers.callbacks.append_only import AppendOnlyCall, receive_append_only_calls
from handlers.callbacks.receive import CallbackPolicy
from handlers.event_log import record_appends
from handlers.runs.settle import RetryPolicy
from handlers.runs.stop import StopPolicy
from schema.executor_api import CallbackAnswer
from schema.sql import Conn

CALLBACK_CONNECTIONS = 8
READERS_AHEAD = 4
NAME = "runyard"


@dataclass(frozen=True)
class ApiProcess:
    """The state of one API process. `callbacks` is a separate pool, so that heartbeats get through when requests of
    people take all other connections. `ahead` prefetches pages while a stream sends; a function has no threads for it.
    """

    settings: ApiSettings
    database: Database
    callbacks: Database
    housekeeping: Database
    notifier: Notifier
    stream_slots: StreamSlots
    periodic: Periodic
    callback_batcher: CallbackBatcher
    is_resident: bool
    ahead: Executor | None = None

    def start(self) -> None:
        """Open pools and start threads; call it after fork. The database may be down."""
        self.database.open()
        self.callbacks.open()
        self.housekeeping.open()
        self.notifier.start()

    def stop(self) -> None:
        self.stream_slots.end_all()
        self.notifier.stop()
        self.database.close()
        self.callbacks.close()
        self.housekeeping.close()

    @contextmanager
    def transaction(self, *, snapshot: bool = False) -> Iterator[Conn]:
        """Open a request's single transaction. After its commit, notify readers of the logs that grew."""
        with record_appends() as heads:
            with self.database.transaction(snapshot=snapshot) as conn:
                yield conn
            self.notifier.tell(heads)

    @contextmanager
    def callback_transaction(self) -> Iterator[Conn]:
        with record_appends() as heads:
            with self.callbacks.transaction() as conn:
                yield conn
            self.notifier.tell(heads)

    @property
    def stop_policy(self) -> StopPolicy:
        return StopPolicy(deadline_seconds=self.settings.run_stop_deadline_seconds)

    @property
    def callback_policy(self) -> CallbackPolicy:
        retry = RetryPolicy(delay_seconds=self.settings.run_queue_retry_delay_ms / 1000)
        return CallbackPolicy(lease_seconds=self.settings.run_lease_seconds, retry=retry)


def resident_process(settings: ApiSettings) -> ApiProcess:
    """Make the state of a server process."""
    dsn = settings.database_url
    database = Pool(dsn, size=settings.database_pool_size, name="api", wait_seconds=5)
    callbacks = Pool(dsn, size=CALLBACK_CONNECTIONS, name="callbacks", wait_seconds=5, plans_once=True)
    housekeeping = Pool(dsn, size=2, name="housekeeping", wait_seconds=5)
    periodic = Periodic(settings, housekeeping)
    notifier = LogNotifier(dsn, housekeeping, periodic=[periodic.run_once])
    return ApiProcess(
        settings=settings,
        database=database,
        callbacks=callbacks,
        housekeeping=housekeeping,
        notifier=notifier,
        callback_batcher=make_batcher(callbacks, notifier, settings),
        stream_slots=StreamSlots(settings.api_streams_max),
        periodic=periodic,
        is_resident=True,
        ahead=ThreadPoolExecutor(READERS_AHEAD, thread_name_prefix="ahead"),
    )


def function_process(settings: ApiSettings) -> ApiProcess:
    """Make the state of a function: one connection, no threads."""
    database = OneConnection(settings.database_url)
    notifier = NoNotifier(settings.database_url)
    return ApiProcess(
        settings=settings,
        database=database,
        callbacks=database,
        housekeeping=database,
        notifier=notifier,
        callback_batcher=make_batcher(database, notifier, settings),
        stream_slots=StreamSlots(settings.api_streams_max),
        periodic=Periodic(settings, database),
        is_resident=False,
    )


def make_batcher(database: Database, notifier: Notifier, settings: ApiSettings) -> CallbackBatcher:
    def write(calls: Sequence[AppendOnlyCall]) -> dict[UUID, CallbackAnswer]:
        with record_appends() as heads:
            store = partial(receive_append_only_calls, calls=calls, lease_seconds=settings.run_lease_seconds)
            answers = database.call_alone(store)
            notifier.tell(heads)
        return answers

    return CallbackBatcher(write)


def hold(app: Flask, api_process: ApiProcess) -> None:
    app.extensions[NAME] = api_process


def api_process_of(app: Flask) -> ApiProcess:
    found: ApiProcess = app.extensions[NAME]
    return found


def api_process() -> ApiProcess:
    """Return the state of the process that serves this request."""
    return api_process_of(current_app)
