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
from tests.benchmarks.reading import INTRODUCTION, READING

FILE = Path(__file__).with_name("README.md")
_PART = re.compile(r"^### (\w+)\n", re.MULTILINE)
HEAD = ("target", "what", "measured", "baseline", "ratio (rounds)", "wanted", "verdict")


@dataclass(frozen=True)
class Wanted:
    """A bound to keep: at least, or at most, so much. Without a unit it bounds a ratio, else the figure itself."""

    side: Literal[">=", "<="]
    bound: float
    unit: str = ""

    def is_met_by(self, measured: float) -> bool:
        return measured >= self.bound if self.side == ">=" else measured <= self.bound

    def __str__(self) -> str:
        return f"{self.side} {self.bound:,g} {self.unit}".rstrip()


@dataclass(frozen=True)
class Line:
    """One row of the table. `wanted` None is a figure that is only reported. `figure` is what `wanted` bounds where
    there are no rounds, in the unit of `wanted`."""

    target: str
    what: str
    measured: str
    baseline: str = "-"
    rounds: Rounds | None = None
    wanted: Wanted | None = None
    note: str = ""
    figure: float | None = None

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
        measured = self.figure if self.rounds is None else self.rounds.ratio
        if self.wanted is None or measured is None:
            return "reported"
        return "reached" if self.wanted.is_met_by(measured) else "**missed**"


def rated(target: str, what: str, rounds: Rounds, *, unit: str, wanted: Wanted | None, note: str = "") -> Line:
    """A row of a ratio: the medians of both sides, in this unit."""
    ours, baseline = rounds.medians
    return Line(target, what, f"{ours:,.4g} {unit}", f"{baseline:,.4g} {unit}", rounds, wanted, note)


def bounded(
    target: str, what: str, figure: float, *, unit: str = "", most: float, measured: str = "", note: str = ""
) -> Line:
    """A row of one figure that is to be at most so much. `measured` says more than the figure, where it is given."""
    shown = measured or f"{figure:,.4g} {unit}".rstrip()
    return Line(target, what, shown, wanted=Wanted("<=", most, unit), note=note, figure=figure)


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
