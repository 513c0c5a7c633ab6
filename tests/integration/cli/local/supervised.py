"""A supervisor with the programs named on its command line, as a process: `supervised FOLDER NAME=PYTHON-CODE ...`.

A name that begins with `last_` ends after all others.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

from cli.local import supervisor
from cli.local.processes import spawn
from cli.local.supervisor import Program, StartFailed, Supervisor

supervisor.GRACE_SECONDS = 1.0
supervisor.SILENT_SECONDS = 3.0


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
            alive = folder / "alive" if name == "beating" else None
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


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
