"""`python -m tests.benchmarks [names...]`: measure, print the table, and write it into README.md."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from tests.benchmarks.answering import answering
from tests.benchmarks.browser.portal import portal
from tests.benchmarks.callbacks import callbacks
from tests.benchmarks.delivery import delivery, transcript
from tests.benchmarks.files.pages import files
from tests.benchmarks.first_events import first_events
from tests.benchmarks.ingest import ingest
from tests.benchmarks.job_queue import dispatching, reclaiming
from tests.benchmarks.neighbours import neighbours
from tests.benchmarks.reconnecting import reconnecting
from tests.benchmarks.recovery.part import recovery
from tests.benchmarks.report import Line, table, write_report
from tests.benchmarks.slow_peers import overload, slow_peers
from tests.benchmarks.sockets import fan_out, sockets
from tests.benchmarks.workspaces import sync_program, workspaces

BENCHMARKS: dict[str, Callable[[], Iterator[Line]]] = {
    "ingest": ingest,
    "callbacks": callbacks,
    "delivery": delivery,
    "transcript": transcript,
    "files": files,
    "sockets": sockets,
    "reconnecting": reconnecting,
    "fan_out": fan_out,
    "slow_peers": slow_peers,
    "overload": overload,
    "dispatching": dispatching,
    "reclaiming": reclaiming,
    "first_events": first_events,
    "answering": answering,
    "recovery": recovery,
    "neighbours": neighbours,
    "portal": portal,
    "workspaces": workspaces,
    "rclone": partial(sync_program, "rclone"),
    "aws": partial(sync_program, "aws"),
}


def main(names: Sequence[str]) -> int:
    unknown = set(names) - BENCHMARKS.keys()
    if unknown:
        print(f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}.")
        return 2
    for name in names or BENCHMARKS:
        before, lines = os.getloadavg()[0], []
        for line in BENCHMARKS[name]():
            print(" | ".join(line.cells), flush=True)
            lines.append(line)
        write_report(name, lines, loads=(before, os.getloadavg()[0]))
        print("\n" + table(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
