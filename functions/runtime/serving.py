"""How gunicorn is told to serve: what its configuration file and its hooks need, apart from the values themselves."""

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
import structlog
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from functions.runtime.process import api_process_of
from functions.runtime.settings import ApiSettings, read_settings, settings_without_meaning
from schema.logs import configure_logs
from schema.settings import BadSetting

COMPONENT = "api"


class JsonLogger(Logger):  # type: ignore[misc]
    """gunicorn's own lines go where all others go."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            log.handlers.clear()
            log.propagate = True


def settings_or_exit() -> ApiSettings:
    """A bad setting ends the program with one sentence and status 2: nothing would be won by starting it again."""
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
    """The local administrator needs no password: only this machine may knock. Its Unix sockets may stay, and so may the
    workers' address, where nothing but callbacks is to be had (workers_door)."""
    if settings.auth != "local":
        return
    for address in addresses:
        if isinstance(address, tuple) and address != settings.worker_address and not _is_loopback(str(address[0])):
            refuse(f"with RUNYARD_AUTH=local the server listens on loopback only, not on {address[0]}.")


def begin(worker: Any) -> None:
    """After fork: open the pools, start the log watch, and let SIGTERM end the streams before anything else."""
    edge = api_process_of(worker.wsgi)
    if edge.settings.api_on_one_cpu:
        stay_on_one_cpu()
    edge.start()
    previous = signal.getsignal(signal.SIGTERM)

    def end(number: int, frame: FrameType | None) -> None:
        # in a thread: a lock that this very thread may hold must not be waited for in a signal's handler
        threading.Thread(target=edge.streams.end_all, name="end-streams").start()
        if callable(previous):
            previous(number, frame)

    signal.signal(signal.SIGTERM, end)
    structlog.get_logger("functions.runtime.serving").info("serving", pid=worker.pid)


def stay_on_one_cpu() -> None:
    """Keep this process's threads, those to come too, on the CPU where the kernel has put it.

    Python runs one of them at a time. On several CPUs nearly every turn of one wakes another CPU, which takes as long
    as the work itself; who wants more CPUs used starts more processes. Where the system knows nothing of it (macOS) or
    does not allow it, nothing changes.
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
