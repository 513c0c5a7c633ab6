"""The processes of this clone's session workers, whoever their parent is now.

Executors outlive a killed supervisor, so that their runs go on; the next job worker adopts them, and the next stop ends
them. They are known by what the process host and the executor put into their environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import psutil

from cli.places import Places

EXECUTOR_FOLDER = "EXECUTOR_STATE_DIR"
SESSION_MARKER = "RUNYARD_SESSION_ID"


def executors(places: Places) -> list[psutil.Process]:
    inside = f"{places.workers}{os.sep}"
    return [process for process, environ in _environments() if environ.get(EXECUTOR_FOLDER, "").startswith(inside)]


def agents(places: Places) -> list[psutil.Process]:
    """Agents and all that they started."""
    sessions = {folder.name for folder in places.workers.iterdir()} if places.workers.exists() else set()
    return [process for process, environ in _environments() if environ.get(SESSION_MARKER) in sessions]


def _environments() -> Iterator[tuple[psutil.Process, Mapping[str, str]]]:
    for process in psutil.process_iter():
        try:
            environ = process.environ()
        except (psutil.Error, OSError):
            continue
        if process.pid != os.getpid():
            yield process, environ
