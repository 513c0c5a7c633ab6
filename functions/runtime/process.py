"""Hold the state of one API process, with separate database connections for people and for callbacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol
from uuid import UUID

from flask import Flask, current_app

from functions.runtime.access_watch import AccessWatch
from functions.runtime.callback_batching import CallbackBatcher
from functions.runtime.database import Database, FullDisk, OneConnection, Pool
from functions.runtime.log_notifier import LogNotifier, NoNotifier, Notifier
from functions.runtime.periodic import Periodic
from functions.runtime.settings import ApiSettings
from functions.runtime.stream_slots import StreamSlots, UserShares
from handlers.callbacks.append_only import AppendOnlyCall, receive_append_only_calls
from handlers.callbacks.receive import CallbackPolicy
from handlers.event_log import record_changes
from handlers.runs.settle import RetryPolicy
from handlers.runs.stop import StopPolicy
from schema.executor_api import CallbackAnswer
from schema.sql import Conn

CALLBACK_CONNECTIONS = 8
LIVE_CONNECTIONS = 2
READERS_AHEAD = 4
NAME = "runyard"


class ProcessPart(Protocol):
    """Threads that begin and end with the process."""

    def start(self) -> None: ...

    def end_all(self) -> None:
        """End what others hold open. Must not wait."""
        ...

    def stop(self) -> None: ...


@dataclass(frozen=True)
class ApiProcess:
    """The state of one API process. `callbacks` is a separate pool, so that heartbeats get through when requests of
    people take all other connections. With `live` the access of open streams is checked, and changes of lists are read.
    `requests` counts those that a user has in flight. `ahead` prefetches pages while a stream sends; a function has no
    threads for it.
    """

    settings: ApiSettings
    database: Database
    callbacks: Database
    housekeeping: Database
    live: Database
    notifier: Notifier
    access: AccessWatch
    stream_slots: StreamSlots
    requests: UserShares
    periodic: Periodic
    callback_batcher: CallbackBatcher
    is_resident: bool
    ahead: Executor | None = None
    parts: list[ProcessPart] = field(default_factory=list)
    full_disk: FullDisk = field(default_factory=FullDisk)

    def start(self) -> None:
        """Open pools and start threads; call it after fork. The database may be down."""
        self.database.open()
        self.callbacks.open()
        self.housekeeping.open()
        self.live.open()
        self.notifier.start()
        if self.is_resident:
            self.access.start()
        for part in self.parts:
            part.start()

    def end_streams(self) -> None:
        """End all streams and sockets; refuse new ones."""
        self.stream_slots.end_all()
        for part in self.parts:
            part.end_all()

    def stop(self) -> None:
        self.end_streams()
        for part in self.parts:
            part.stop()
        self.access.stop()
        self.notifier.stop()
        self.database.close()
        self.callbacks.close()
        self.housekeeping.close()
        self.live.close()

    @contextmanager
    def transaction(self, *, snapshot: bool = False) -> Iterator[Conn]:
        """Open a request's single transaction. After its commit, notify readers of the logs that grew."""
        with record_changes() as heads:
            with self.database.transaction(snapshot=snapshot) as conn:
                yield conn
            self.notifier.announce(heads)

    @contextmanager
    def callback_transaction(self) -> Iterator[Conn]:
        with record_changes() as heads:
            with self.callbacks.transaction() as conn:
                yield conn
            self.notifier.announce(heads)

    @property
    def stop_policy(self) -> StopPolicy:
        return StopPolicy(deadline_seconds=self.settings.run_stop_deadline_seconds)

    @property
    def callback_policy(self) -> CallbackPolicy:
        retry = RetryPolicy(delay_seconds=self.settings.run_queue_retry_delay_ms / 1000)
        return CallbackPolicy(lease_seconds=self.settings.run_lease_seconds, retry=retry, stop=self.stop_policy)


def resident_process(settings: ApiSettings) -> ApiProcess:
    """Make the state of a server process."""
    pool = partial(
        Pool, settings.database_url, wait_seconds=5, shares_sessions=settings.database_pooler == "transaction"
    )
    database = pool(size=settings.database_pool_size, name="api")
    callbacks = pool(size=CALLBACK_CONNECTIONS, name="callbacks", plans_once=True)
    housekeeping = pool(size=2, name="housekeeping")
    live = pool(size=LIVE_CONNECTIONS, name="live")
    access = AccessWatch(live)
    periodic = Periodic(settings, housekeeping)
    listening = settings.direct_dsn(settings.database_url)
    notifier = LogNotifier(listening, housekeeping, periodic=[periodic.run_once], on_revoked=access.wake)
    return ApiProcess(
        settings=settings,
        database=database,
        callbacks=callbacks,
        housekeeping=housekeeping,
        live=live,
        notifier=notifier,
        access=access,
        callback_batcher=make_batcher(callbacks, notifier, settings),
        stream_slots=StreamSlots(settings.api_streams_max, UserShares(settings.stream_share)),
        requests=UserShares(settings.request_share),
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
        live=database,
        notifier=notifier,
        access=AccessWatch(database),
        callback_batcher=make_batcher(database, notifier, settings),
        stream_slots=StreamSlots(settings.api_streams_max, UserShares(settings.stream_share)),
        requests=UserShares(settings.request_share),
        periodic=Periodic(settings, database),
        is_resident=False,
    )


def make_batcher(database: Database, notifier: Notifier, settings: ApiSettings) -> CallbackBatcher:
    def write(calls: Sequence[AppendOnlyCall]) -> dict[UUID, CallbackAnswer]:
        with record_changes() as heads:
            store = partial(receive_append_only_calls, calls=calls, lease_seconds=settings.run_lease_seconds)
            answers = database.call_alone(store)
            notifier.announce(heads)
        return answers

    return CallbackBatcher(write)


def hold(app: Flask, api_process: ApiProcess) -> None:
    app.extensions[NAME] = api_process


def api_process_of(app: Flask) -> ApiProcess:
    process: ApiProcess = app.extensions[NAME]
    return process


def api_process() -> ApiProcess:
    """Return the state of the process that serves this request."""
    return api_process_of(current_app)
