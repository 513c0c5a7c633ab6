"""The table: on the terminal, and in README.md with the machine that it was measured on."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import psutil

from cli.local.postgres import embedded_binaries
from tests.benchmarks.figures import Rounds

FILE = Path(__file__).with_name("README.md")
COMMAND = "make bench"
_PART = re.compile(r"^### (\w+)\n", re.MULTILINE)
HEAD = ("target", "what", "measured", "baseline", "ratio (rounds)", "wanted", "verdict")


@dataclass(frozen=True)
class Wanted:
    """A ratio to reach: at least, or at most, so much."""

    side: Literal[">=", "<="]
    ratio: float

    def is_met_by(self, ratio: float) -> bool:
        return ratio >= self.ratio if self.side == ">=" else ratio <= self.ratio

    def __str__(self) -> str:
        return f"{self.side} {self.ratio:g}"


@dataclass(frozen=True)
class Line:
    """One row of the table. `wanted` None is a figure that is only reported."""

    target: str
    what: str
    measured: str
    baseline: str = "-"
    rounds: Rounds | None = None
    wanted: Wanted | None = None
    note: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        return self.target, self.what, self.measured, self.baseline, self._ratio(), self._wanted(), self._verdict()

    def _ratio(self) -> str:
        if self.rounds is None:
            return "-"
        return f"{self.rounds.ratio:.2f} ({', '.join(f'{ratio:.2f}' for ratio in self.rounds.ratios)})"

    def _wanted(self) -> str:
        return "-" if self.wanted is None else str(self.wanted)

    def _verdict(self) -> str:
        if self.wanted is None or self.rounds is None:
            return "reported"
        return "reached" if self.wanted.is_met_by(self.rounds.ratio) else "**missed**"


def rated(target: str, what: str, rounds: Rounds, *, unit: str, wanted: Wanted | None, note: str = "") -> Line:
    """A row of a ratio: the medians of both sides, in this unit."""
    ours, baseline = rounds.medians
    return Line(target, what, f"{ours:,.4g} {unit}", f"{baseline:,.4g} {unit}", rounds, wanted, note)


def table(lines: Sequence[Line]) -> str:
    rows = [HEAD, tuple("---" for _ in HEAD), *(line.cells for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def machine() -> str:
    """What the figures depend on besides the code."""
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    version = subprocess.run(
        [embedded_binaries() / "postgres", "--version"], capture_output=True, text=True, check=True
    ).stdout.split()[2]
    facts = [
        f"{os.cpu_count()} cores ({model.partition(':')[2].strip() or platform.machine()})",
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB of memory",
        f"Linux {platform.release().split('-')[0]}",
        f"Python {platform.python_version()}",
        f"PostgreSQL {version} (embedded)",
    ]
    return ", ".join(facts)


def write_report(name: str, lines: Sequence[Line], *, loads: tuple[float, float]) -> None:
    """Replaces what the file says of this benchmark; the others keep theirs. `loads` is the machine's load (1 minute)
    before and after."""
    parts = {**_written(), name: _part(lines, loads)}
    FILE.write_text(INTRODUCTION + "".join(f"\n### {name}\n{part.strip()}\n" for name, part in parts.items()) + READING)


def _written() -> dict[str, str]:
    """The parts of the file by benchmark."""
    figures = FILE.read_text().partition(INTRODUCTION)[2].partition(READING.splitlines()[1])[0]
    _, *parts = _PART.split(figures)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _part(lines: Sequence[Line], loads: tuple[float, float]) -> str:
    notes = [f"- {line.target}, {line.what}: {line.note}" for line in lines if line.note]
    when = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    told = f"Until {when} on {machine()}; load average {loads[0]:.1f} before, {loads[1]:.1f} after.\n"
    return "\n".join([told, table(lines), *notes])


INTRODUCTION = f"""# Measurements

Written by `{COMMAND}`; `{COMMAND} ARGS="ingest callbacks"` measures some of it again and writes that part anew.

Each ratio is ours to the baseline of the same round; both sides take turns, three rounds or more, and the median
counts. Absolute figures are worth little: they move by 10 to 40 % from run to run. Clients, servers and database share
the machine.

## Figures
"""

READING = """
## How each is measured
- **G1** pgbench (prepared, 16 clients), 10 events of about 200 bytes a call: the statement `receive_plain_call`, a run
  a client, against a plain `INSERT` of the same 10 rows with an identity key. That every call was taken is checked.
- **G2** callbacks of 10 over HTTP, 16 connections, 4 further connections that listen: with hints and without.
- **G3** events a second by callbacks of 10 (signed, durable before 200), against requests a second of an empty Flask
  route under a gunicorn of the same kind and size, which the kernel puts where it likes. 16 connections each.
- **G4** the 99th percentile of those callbacks, against the same route with a transaction for each request; and, as a
  stricter comparison that the target does not ask for, against our own statement with one call a transaction.
- **G5** from the return of a commit (in another process than the server) to the frame at the client, 200 WebSockets
  open; against insert, NOTIFY and a re-read by a bare listener.
- **G7** from `start_run` to the executor's receipt of the run, against procrastinate's defer to start; and no-op jobs a
  second through our connections, whose commits are not waited for (DECISIONS.md, 53), against procrastinate's own.
- **G8** from SIGKILL of a job worker to its run being taken from it, against procrastinate's recipe for stalled jobs,
  swept every 5 s, to the job's next start.
- **G9** 50,000 files in 10,000 folders: the engine's process from its start to its last word, with the object store for
  trying out on loopback; against `tar | zstd -3` into one local file, and `rclone sync` to the same store (once, with
  ours right before it and right after).
- **G10** 20 files in 20 folders rewritten, then saved; against a process that calls lstat for each path and does
  nothing else, and `restic backup` to a repository on the local disk.
- **G11** the restore into an empty folder, proven and flushed to the disk; against `zstd -d | tar -x`, which is
  neither, and `restic restore`. What was restored is removed only when all is measured: on ext4 whoever makes files in
  the minutes after many were removed takes up to ten times as long (it passes over freed inodes one by one).
- **G14** 10,000 events replayed to a new WebSocket, until the last byte is there (frames are counted afterwards);
  against `COPY ... TO STDOUT` of the same rows.
- **G15** the start of everything to ready; a prompt to the agent's first event; the latter of a real agent against the
  bare agent (`take_turn`).
- All of these begin with what was written before on the disk, so that no flush takes another program's bytes along.
- **33** 300 commands one after the other in a Docker worker, from the output of each to a reader of the session; with
  another worker whose agent burns all that its limits (half a processor, 512 MiB, 256 processes) let it have, and
  without. Both workers together may have one of two processors: so much must be left for the control plane.
- **sockets** resident memory and threads of the API process for open, idle WebSockets.

## What stands in the way
- **G1** In the database ours takes a quarter more CPU than the plain insert: the start of its longer plan, the finding,
  locking and changing of the log's head, the arrays, a key of two columns. Single rounds lie between 0.68 and 0.93.
- **G7** A start writes session, run, event and job; its claim is a second transaction, its worker's life two more, and
  the executor is called, where the baseline inserts one row (DECISIONS.md, 49). Of 10 to 12 ms the start's statements
  take 4, the job's way to its worker 2, the claim 2, the session's worker 2, the run's call 1.
- **G11** A restore is bound by the making of 50,000 files, one after the other; it proves each and flushes them all,
  which tar does not. One of 2 GB takes 4 to 10 s, where `rclone` and `aws` take 5: three in a row took 8.5, 4.2 and
  4.7 s, and 7.9, 6.0 and 5.1 s without any flush. What makes the first ones slow is not known.
- **33** With a whole processor for each of both workers it was 2.2 and 3.1: none was left for the control plane. How
  fast a worker writes to the disk on which PostgreSQL commits is limited by nothing.
"""
