"""Find the processes of this clone's session workers, whatever their parent is.

Executors outlive a killed supervisor, so that their runs continue. The next job worker adopts them; the next stop ends
them. An executor is identified by the port file in its folder. An agent and its children are identified by the session
id in their environment.
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


def executors(data_dir: DataDir) -> list[psutil.Process]:
    processes = (_listening(file) for file in data_dir.workers.glob("*/executor.json"))
    return [process for process in processes if process is not None]


def agents(data_dir: DataDir) -> list[psutil.Process]:
    sessions = {folder.name for folder in data_dir.workers.glob("*")}
    return [process for process, session in _marked() if session in sessions]


def _listening(port_file: Path) -> psutil.Process | None:
    """Return the living process that wrote the port file; None when it ended or its id was reused."""
    try:
        port = json.loads(port_file.read_text())
        process = psutil.Process(int(port["pid"]))
        wrote_at = datetime.fromisoformat(port["startedAt"]).timestamp()
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
