"""Figures: percentiles, and ratios of two sides that were measured in turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

ROUNDS = 3


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that at least so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


@dataclass(frozen=True)
class Rounds:
    """One figure of both sides, round by round."""

    ours: tuple[float, ...]
    baseline: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        return tuple(a / b for a, b in zip(self.ours, self.baseline, strict=True))

    @property
    def medians(self) -> tuple[float, float]:
        return median(self.ours), median(self.baseline)

    @property
    def ratio(self) -> float:
        return median(self.ratios)


def in_turns(ours: Callable[[], float], baseline: Callable[[], float], *, rounds: int = ROUNDS) -> Rounds:
    """Both sides, one after the other, so many times; who is first changes with each round."""
    measured: list[tuple[float, float]] = []
    for i in range(rounds):
        if i % 2:
            mine = ours()
            measured.append((mine, baseline()))
        else:
            theirs = baseline()
            measured.append((ours(), theirs))
    return Rounds(tuple(mine for mine, _ in measured), tuple(theirs for _, theirs in measured))
