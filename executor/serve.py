"""One executor from start to end: spool, recovery, HTTP, and a quiet way out that leaves no process behind."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

import structlog
import uvicorn

from executor.agents.roots import link_agent_data
from executor.http.routes import DeclareProviders, make_app
from executor.process.account import leave_groups
from executor.process.settings import ExecutorSettings
from executor.runs.live_run import TakeTurn
from executor.runs.registry import ExecutorIdentity, Runs
from executor.runs.spool import SpoolThread
from executor.workspaces.home_filter import kept_of_home
from executor.workspaces.sync_operations import SyncOperations
from schema.logs import log_context
from schema.settings import BadSetting

if TYPE_CHECKING:
    import httpx
    from starlette.types import ASGIApp

CALLBACK_SECONDS = 10.0
IDLE_LOOK_SECONDS = 1.0
LOCK_SECONDS = 0.5
"""Long enough for whoever only looks whether an executor is at work, and holds the lock for that."""
LOCK_POLL_SECONDS = 0.02

_log = structlog.stdlib.get_logger(__name__)


async def serve(
    settings: ExecutorSettings, *, take_turn: TakeTurn, declare_providers: DeclareProviders, prepare: Callable[[], None]
) -> None:
    """Until SIGTERM, SIGINT, or nothing to do for the idle limit. BadSettings when it cannot begin.

    `prepare` is what the first run would wait for, done in a thread once the service listens.
    """
    place = _place(settings)
    prepare_folders(settings)
    for library in ("httpx", "httpcore", "asyncio", "uvicorn"):
        logging.getLogger(library).setLevel(logging.WARNING)  # a line a call, which says nothing new
    with log_context(sessionId=place.session_id, executorId=place.executor_id), _only_one(settings.executor_state_dir):
        listening = listen(settings.executor_host, settings.executor_port)
        spool, clients = open_spool(settings.executor_state_dir), Clients()
        saving = _saving(settings, place, has_run=lambda: runs.live is not None)
        runs = Runs(place, spool=spool, client=clients.client, take_turn=take_turn, admitting=saving.admitting_run)
        app = make_app(
            place=place,
            runs=runs,
            saving=saving,
            declare_providers=declare_providers,
            token=settings.executor_auth_token.get_secret_value(),
            fail=partial(_failing, settings.executor_fail_for_tests),
        )
        server = Server(app, port_file=settings.executor_port_file)
        try:
            await runs.recover()
            preparing = asyncio.create_task(_prepare(server, prepare))
            await _serve_until_told(server, listening, runs, saving, idle_seconds=settings.executor_idle_exit_seconds)
            preparing.cancel()
        finally:
            await clients.close()
            spool.close()


class Clients:
    """The HTTP client of all deliveries, made when first needed."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    def client(self) -> httpx.AsyncClient:
        """It takes no proxy from the environment, which is meant for agents; certificates are the system's."""
        if self._client is None:
            import ssl

            import httpx

            self._client = httpx.AsyncClient(
                timeout=CALLBACK_SECONDS, trust_env=False, verify=ssl.create_default_context()
            )
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()


class Server(uvicorn.Server):
    """Uvicorn without its own signal handlers, that says where it listens."""

    def __init__(self, app: object, *, port_file: Path | None) -> None:
        super().__init__(
            uvicorn.Config(
                app,  # type: ignore[arg-type]
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )
        self._port_file = port_file
        self.listening = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        port = sockets[0].getsockname()[1] if sockets else 0
        _log.info("executor.listening", port=port)
        if self._port_file is not None:
            write_port_file(self._port_file, port)
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._port_file is not None:
            self._port_file.unlink(missing_ok=True)
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. BadSettings when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise BadSetting(f"The executor cannot listen on {host}:{port}: {error.strerror}.") from None
    return bound


def open_spool(state_dir: Path) -> SpoolThread:
    """BadSettings when the file is no spool, or its disk is full or broken."""
    try:
        return SpoolThread(state_dir / "spool.sqlite3")
    except sqlite3.Error as error:
        raise BadSetting(f"The spool in {state_dir} cannot be opened: {error}.") from None


def prepare_folders(settings: ExecutorSettings) -> None:
    """The workspace, the agent's home and the state folder, the last one for us alone."""
    try:
        leave_groups(settings.agent_account)
        with settings.agent_account.acting():
            settings.executor_workspace_dir.mkdir(parents=True, exist_ok=True)
            link_agent_data(settings.executor_agent_home)
        settings.executor_state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings.executor_state_dir.chmod(0o700)
    except OSError as error:
        raise BadSetting(f"The folder {error.filename} cannot be used: {error.strerror}.") from None


def write_port_file(file: Path, port: int) -> None:
    """`{pid, port, startedAt}`, whole or not at all, readable by us alone."""
    content = {"pid": os.getpid(), "port": port, "startedAt": datetime.now(UTC).isoformat()}
    new = file.with_name(f"{file.name}.{os.getpid()}.new")
    file.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as out:
        json.dump(content, out)
    new.replace(file)


@contextmanager
def _only_one(state_dir: Path) -> Iterator[None]:
    """Two executors on one spool would both be wrong. The lock goes with the process, however it ends."""
    with (state_dir / "executor.lock").open("w") as lock:
        deadline = time.monotonic() + LOCK_SECONDS
        while not _is_locked_by_us(lock):
            if time.monotonic() > deadline:
                raise BadSetting(f"Another executor is using {state_dir}.")
            time.sleep(LOCK_POLL_SECONDS)
        yield


def _is_locked_by_us(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _failing(told: str, app: ASGIApp) -> ASGIApp:
    """The app itself, unless calls are to fail. BadSettings where nobody may have them fail."""
    if not told:
        return app
    try:
        from executor.http.failures_for_tests import failing
    except ImportError:
        raise BadSetting("EXECUTOR_FAIL_FOR_TESTS: there is no such thing in this image.") from None
    return failing(app, told)


def _place(settings: ExecutorSettings) -> ExecutorIdentity:
    return ExecutorIdentity(
        session_id=settings.executor_session_id,
        epoch=settings.executor_epoch,
        executor_id=settings.executor_id,
        workspace=settings.executor_workspace_dir.absolute(),
        home=settings.executor_agent_home.absolute(),
        account=settings.agent_account,
        disk_bytes=settings.executor_disk_bytes,
        grace_seconds=settings.executor_stop_grace_seconds,
        heartbeat_seconds=settings.executor_heartbeat_seconds,
    )


def _saving(settings: ExecutorSettings, place: ExecutorIdentity, *, has_run: Callable[[], bool]) -> SyncOperations:
    return SyncOperations(
        session_id=place.session_id,
        epoch=place.epoch,
        workspace=place.workspace,
        home=place.home,
        state_dir=settings.executor_state_dir.absolute(),
        account=place.account,
        kept=partial(kept_of_home, settings, dict(os.environ)),
        has_run=has_run,
    )


async def _serve_until_told(
    server: Server, listening: socket.socket, runs: Runs, saving: SyncOperations, *, idle_seconds: float
) -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    serving = asyncio.create_task(server.serve([listening]))
    ends = {serving, asyncio.create_task(told.wait())}
    if idle_seconds:
        ends.add(asyncio.create_task(_idle(server, runs, saving, idle_seconds)))
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await saving.shut_down()
    await runs.shut_down()
    await serving
    for task in ends - {serving}:
        task.cancel()
    _log.info("executor.ended")


async def _prepare(server: Server, prepare: Callable[[], None]) -> None:
    await server.listening.wait()
    await asyncio.to_thread(prepare)


async def _idle(server: Server, runs: Runs, saving: SyncOperations, idle_seconds: float) -> None:
    """Returns when no run lived, nothing waited for delivery and nobody called for so long."""
    calls, since = -1, time.monotonic()
    while time.monotonic() - since < idle_seconds:
        await asyncio.sleep(min(IDLE_LOOK_SECONDS, idle_seconds))
        if not (runs.is_idle and saving.is_idle) or server.server_state.total_requests != calls:
            calls, since = server.server_state.total_requests, time.monotonic()
    _log.info("executor.idle", seconds=idle_seconds)
