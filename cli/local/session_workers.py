"""The processes of this clone's session workers, whoever their parent is now.

Executors outlive a killed supervisor, so that their runs go on; the next job worker adopts them, and the next stop ends
them. An executor is known by the file in its folder that says where it listens, an agent and all that it started by
the session's id in their environment.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psutil

from cli.local.data_dir import DataDir

SESSION_MARKER = "RUNYARD_SESSION_ID"
CLOCK_SECONDS = 5.0


def executors(places: DataDir) -> list[psutil.Process]:
    found = (_listening(file) for file in places.workers.glob("*/executor.json"))
    return [process for process in found if process is not None]


def agents(places: DataDir) -> list[psutil.Process]:
    sessions = {folder.name for folder in places.workers.glob("*")}
    return [process for process, session in _marked() if session in sessions]


def _listening(port_file: Path) -> psutil.Process | None:
    """The process that wrote the file, if it lives. One that began later is another that got the same id."""
    try:
        told = json.loads(port_file.read_text())
        process = psutil.Process(int(told["pid"]))
        wrote_at = datetime.fromisoformat(told["startedAt"]).timestamp()
        is_the_same = process.create_time() <= wrote_at + CLOCK_SECONDS and "executor" in process.cmdline()
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return None
    return process if is_the_same else None


def _marked() -> Iterator[tuple[psutil.Process, str]]:
    for process in psutil.process_iter():
        try:
            session = process.environ().get(SESSION_MARKER)
        except (psutil.Error, OSError):
            continue
        if session is not None and process.pid != os.getpid():
            yield process, session
