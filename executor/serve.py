"""Run one executor: open the spool, recover its runs, serve HTTP, and shut down without leaving a process behind."""

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
from executor.workspaces.home_filter import load_home_filter
from executor.workspaces.sync_operations import SyncOperations
from schema.logs import log_context
from schema.settings import BadSetting

if TYPE_CHECKING:
    import httpx
    from starlette.types import ASGIApp

CALLBACK_SECONDS = 10.0
IDLE_LOOK_SECONDS = 1.0
LOCK_SECONDS = 0.5
"""Wait this long for the state folder's lock: a process that only checks for a running executor holds it briefly."""
LOCK_POLL_SECONDS = 0.02

_log = structlog.stdlib.get_logger(__name__)


async def serve(
    settings: ExecutorSettings, *, take_turn: TakeTurn, declare_providers: DeclareProviders, prepare: Callable[[], None]
) -> None:
    """Serve until SIGTERM, SIGINT, or the idle limit.

    `prepare` runs in a thread once the service listens; it loads the code that the first run would otherwise wait for.
    Raises BadSetting when the executor cannot start.
    """
    identity = _identity(settings)
    prepare_folders(settings)
    for library in ("httpx", "httpcore", "asyncio", "uvicorn"):
        logging.getLogger(library).setLevel(logging.WARNING)  # these libraries log every call
    with (
        log_context(sessionId=identity.session_id, executorId=identity.executor_id),
        _exclusive(settings.executor_state_dir),
    ):
        listening = listen(settings.executor_host, settings.executor_port)
        spool, clients = open_spool(settings.executor_state_dir), Clients()
        sync_operations = _sync_operations(settings, identity, has_run=lambda: runs.live is not None)
        runs = Runs(
            identity, spool=spool, client=clients.client, take_turn=take_turn, admitting=sync_operations.admitting_run
        )
        app = make_app(
            identity=identity,
            runs=runs,
            sync_operations=sync_operations,
            declare_providers=declare_providers,
            token=settings.executor_auth_token.get_secret_value(),
            fail=partial(_with_test_failures, settings.executor_fail_for_tests),
        )
        server = Server(app, port_file=settings.executor_port_file)
        try:
            await runs.recover()
            preparing = asyncio.create_task(_prepare(server, prepare))
            await _serve_until_stopped(
                server, listening, runs, sync_operations, idle_seconds=settings.executor_idle_exit_seconds
            )
            preparing.cancel()
        finally:
            await clients.close()
            spool.close()


class Clients:
    """Hold the HTTP client of all deliveries and create it on first use."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    def client(self) -> httpx.AsyncClient:
        """Return the client. It ignores proxy variables, which are meant for agents, and trusts the system's
        certificates."""
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
    """Run uvicorn without its signal handlers, and publish the port that it listens on."""

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
    """Return a bound socket. Raises BadSetting when the address cannot be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise BadSetting(
            f"The executor cannot listen on {host}:{port}: {error.strerror}. Choose another address or port."
        ) from None
    return bound


def open_spool(state_dir: Path) -> SpoolThread:
    """Open the spool. Raises BadSetting when the file is not a spool, or its disk is full or broken."""
    try:
        return SpoolThread(state_dir / "spool.sqlite3")
    except sqlite3.Error as error:
        raise BadSetting(f"The executor cannot open the spool in {state_dir}: {error}.") from None


def prepare_folders(settings: ExecutorSettings) -> None:
    """Create the workspace, the agent's home and the state folder. Only the executor's account may read the state
    folder."""
    try:
        leave_groups(settings.agent_account)
        with settings.agent_account.acting():
            settings.executor_workspace_dir.mkdir(parents=True, exist_ok=True)
            link_agent_data(settings.executor_agent_home)
        settings.executor_state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings.executor_state_dir.chmod(0o700)
    except OSError as error:
        raise BadSetting(f"The executor cannot use the folder {error.filename}: {error.strerror}.") from None


def write_port_file(file: Path, port: int) -> None:
    """Write `{pid, port, startedAt}` atomically, readable by the executor's account alone."""
    content = {"pid": os.getpid(), "port": port, "startedAt": datetime.now(UTC).isoformat()}
    new = file.with_name(f"{file.name}.{os.getpid()}.new")
    file.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as out:
        json.dump(content, out)
    new.replace(file)


@contextmanager
def _exclusive(state_dir: Path) -> Iterator[None]:
    """Lock the state folder, so that two executors never share a spool. The kernel frees the lock when the process
    ends."""
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


def _with_test_failures(plan: str, app: ASGIApp) -> ASGIApp:
    """Return the app, with failures in front of it when a test asks for them. Raises BadSetting outside of tests."""
    if not plan:
        return app
    try:
        from executor.http.failures_for_tests import failing
    except ImportError:
        raise BadSetting("EXECUTOR_FAIL_FOR_TESTS is not available in this image. Unset it.") from None
    return failing(app, plan)


def _identity(settings: ExecutorSettings) -> ExecutorIdentity:
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


def _sync_operations(
    settings: ExecutorSettings, identity: ExecutorIdentity, *, has_run: Callable[[], bool]
) -> SyncOperations:
    return SyncOperations(
        session_id=identity.session_id,
        epoch=identity.epoch,
        workspace=identity.workspace,
        home=identity.home,
        state_dir=settings.executor_state_dir.absolute(),
        account=identity.account,
        home_filter=partial(load_home_filter, settings, dict(os.environ)),
        has_run=has_run,
    )


async def _serve_until_stopped(
    server: Server, listening: socket.socket, runs: Runs, sync_operations: SyncOperations, *, idle_seconds: float
) -> None:
    stop_requested = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop_requested.set)
    serving = asyncio.create_task(server.serve([listening]))
    ends = {serving, asyncio.create_task(stop_requested.wait())}
    if idle_seconds:
        ends.add(asyncio.create_task(_idle(server, runs, sync_operations, idle_seconds)))
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await sync_operations.shut_down()
    await runs.shut_down()
    await serving
    for task in ends - {serving}:
        task.cancel()
    _log.info("executor.ended")


async def _prepare(server: Server, prepare: Callable[[], None]) -> None:
    await server.listening.wait()
    await asyncio.to_thread(prepare)


async def _idle(server: Server, runs: Runs, sync_operations: SyncOperations, idle_seconds: float) -> None:
    """Return after `idle_seconds` without a live run, an undelivered event or a call."""
    calls, since = -1, time.monotonic()
    while time.monotonic() - since < idle_seconds:
        await asyncio.sleep(min(IDLE_LOOK_SECONDS, idle_seconds))
        if not (runs.is_idle and sync_operations.is_idle) or server.server_state.total_requests != calls:
            calls, since = server.server_state.total_requests, time.monotonic()
    _log.info("executor.idle", seconds=idle_seconds)
