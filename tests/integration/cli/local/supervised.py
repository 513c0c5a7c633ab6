"""A supervisor with the programs named on its command line, as a process: `supervised FOLDER NAME=PYTHON-CODE ...`.

A name that begins with `last_` ends after all others. `beating` and `stuck` have an alive file; the supervisor's kill
does not end `stuck`, as that of a process in a disk wait.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cli.local import silence, supervisor
from cli.local.processes import spawn
from cli.local.supervisor import Program, StartFailed, Supervisor

supervisor.GRACE_SECONDS = 1.0
silence.SILENT_SECONDS = 3.0


def main(folder: Path, programs: list[str]) -> int:
    def record(pids: dict[str, int]) -> None:
        (folder / "pids.new").write_text(json.dumps(pids))
        (folder / "pids.new").replace(folder / "pids")

    supervised = Supervisor(say=partial(print, flush=True), on_change=record)
    supervised.listen_to_signals()
    try:
        for program in programs:
            name, _, code = program.partition("=")
            start = partial(spawn, [sys.executable, "-c", code, str(folder)], log=folder / f"{name}.log", cwd=folder)
            start = partial(start_stuck, start) if name == "stuck" else start
            alive = folder / "alive" if name in ("beating", "stuck") else None
            log, is_last = folder / f"{name}.log", name.startswith("last_")
            supervised.start(Program(name, start, log=log, last=is_last, alive_file=alive))
        ready = folder / "ready"
        supervised.wait_until(ready.exists, seconds=20, what="The test")
        print("watching", flush=True)
        supervised.watch()
    except StartFailed as error:
        print(error, flush=True)
        return 1
    finally:
        supervised.stop()
    return 0


def start_stuck(start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Start a process that the supervisor's kill does not reach before the test's own."""
    process = start()
    process.kill = lambda: None  # type: ignore[method-assign]
    return process


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
