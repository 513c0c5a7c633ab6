"""Support gunicorn's configuration file and hooks: settings, log lines, loopback check, start and stop."""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

import psutil
import psycopg
import structlog
from gunicorn.glogging import Logger  # type: ignore[import-untyped]
from psycopg.errors import UndefinedColumn, UndefinedTable

from functions.runtime.database import CONNECT
from functions.runtime.ports import executor_ports, public_port
from functions.runtime.process import api_process_of
from functions.runtime.settings import ApiSettings, read_settings, settings_without_meaning
from handlers.access.secret_key import other_key_uses, refusal_of
from schema.database_faults import cause_of
from schema.database_poolers import pooler_fault
from schema.logs import configure_logs
from schema.migrate import encoding_fault, newer_sentence
from schema.settings import BadSetting

COMPONENT = "api"


class JsonLogger(Logger):  # type: ignore[misc]
    """Sends gunicorn's own log lines to Runyard's log."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            log.handlers.clear()
            log.propagate = True


def settings_or_exit() -> ApiSettings:
    """Read the settings. A bad setting ends the program with one sentence and status 2: a restart would not help."""
    try:
        settings = read_settings()
    except BadSetting as error:
        refuse(str(error))
    configure_logs(COMPONENT, level=settings.log_level)
    for sentence in settings_without_meaning():
        logging.getLogger("functions.runtime.settings").warning(sentence)
    return settings


def refuse(sentence: str) -> NoReturn:
    sys.stderr.write(f"runyard: {sentence}\n")
    sys.exit(2)


def refuse_beyond_loopback(settings: ApiSettings, addresses: list[Any]) -> None:
    """Exit if RUNYARD_AUTH=local listens beyond loopback: the local administrator needs no password. Unix sockets may
    stay, and so may the executor port, which serves only callbacks (functions/callbacks/executor_port.py)."""
    if settings.auth != "local":
        return
    for address in addresses:
        if isinstance(address, tuple) and address != settings.worker_address and not _is_loopback(str(address[0])):
            refuse(f"with RUNYARD_AUTH=local the server listens on loopback only, not on {address[0]}.")


def refuse_unfit_key(settings: ApiSettings) -> None:
    """Exit when running session workers or bound runs have another secret key: their callbacks would be refused.

    Without PostgreSQL or a schema there is nothing to compare, and the server starts.
    """
    try:
        with psycopg.connect(settings.direct_dsn(settings.database_url), **CONNECT) as conn:
            uses = other_key_uses(conn, settings.secret_keys.ids)
    except psycopg.OperationalError as error:
        logging.getLogger(__name__).warning("secret_key.not_checked: %s", cause_of(error))
        return
    except (UndefinedTable, UndefinedColumn):
        logging.getLogger(__name__).warning("secret_key.not_checked: the database is not migrated yet")
        return
    if uses:
        refuse(refusal_of(uses))


def refuse_unfit_database(settings: ApiSettings) -> None:
    """Exit when the database cannot hold all texts, or when a pooler is in the way. Log that a newer release migrated
    it, which may be an upgrade.

    Without PostgreSQL there is nothing to look at, and the server starts.
    """
    try:
        with psycopg.connect(settings.direct_dsn(settings.database_url), **CONNECT) as conn:
            fault = pooler_fault(conn, settings.database_pooler) or encoding_fault(conn)
            newer = newer_sentence(conn)
    except psycopg.OperationalError:
        return
    if fault is not None:
        refuse(fault)
    if newer:
        logging.getLogger(__name__).error("database.newer: %s", newer)


def refuse_what_the_door_cannot(cfg: Any) -> None:
    """Refuse options of gunicorn beyond plain HTTP/1.1: they are for a reverse proxy."""
    for name, is_on in (
        ("--certfile", cfg.is_ssl),
        ("--proxy-protocol", cfg.proxy_protocol not in ("off", False)),
        ("--http2-cleartext", cfg.http2_cleartext != "off"),
    ):
        if is_on:
            refuse(f"{name} is not supported: the server speaks plain HTTP/1.1. Put a reverse proxy before it.")


def begin(worker: Any) -> None:
    """Open ports and pools and start the notifier, after fork. Have SIGTERM end all streams first."""
    process = api_process_of(worker.wsgi)
    settings, app = process.settings, worker.wsgi
    worker.serve_ports(public_port(settings, app, worker.cfg, worker.tpool), executor_ports(settings, app, worker.cfg))
    if process.settings.api_on_one_cpu:
        stay_on_one_cpu()
    process.start()
    previous = signal.getsignal(signal.SIGTERM)

    def end(number: int, frame: FrameType | None) -> None:
        # in a thread: a signal handler must not wait for a lock that its own thread may hold
        threading.Thread(target=process.end_streams, name="end-streams").start()
        if callable(previous):
            previous(number, frame)

    signal.signal(signal.SIGTERM, end)
    structlog.get_logger("functions.runtime.serving").info("serving", pid=worker.pid)


def stay_on_one_cpu() -> None:
    """Keep this process's present and future threads on the CPU that the kernel chose.

    Python runs one thread at a time. Across several CPUs nearly every switch wakes another CPU, which takes as long as
    the work itself. Start more processes to use more CPUs. A system without CPU affinity (macOS), or one that forbids
    it, changes nothing.
    """
    if hasattr(os, "sched_setaffinity"):
        with suppress(OSError):
            os.sched_setaffinity(0, {psutil.Process().cpu_num()})


def finish(worker: Any) -> None:
    api_process_of(worker.wsgi).stop()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
