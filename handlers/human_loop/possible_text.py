"""Match texts with holes against a pattern: what they might be, and what they are whatever fills the holes.

All states of the pattern are the bits of one number, so the time is linear in the text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from handlers.human_loop.shell_word import Hole, Word

_HOLES = frozenset(hole.value for hole in Hole)


def might_match(text: str, pattern: str) -> bool:
    """Return whether the complete text matches for some filling of its holes."""
    states = _states(pattern)
    now = 1
    for sign in text:
        now = states.after_hole(now) if sign in _HOLES else states.after(now, sign)
    return states.accepts(now)


def must_match(text: str, pattern: str) -> bool:
    """Return whether the complete text matches for every filling of its holes."""
    states = _states(pattern)
    now = 1
    for sign in text:
        now = now & states.stars if sign in _HOLES else states.after(now, sign)
    return states.accepts(now)


def might_run(words: Iterable[Word], pattern: str) -> bool:
    """Return whether some words in a row might match: as written, by the last name of a path, and without options.

    Wrappers run what follows them, so the row may begin and end at any word. From an option on, any words up to the
    next that fits may belong to options.
    """
    states = _states(pattern)
    now, waiting, is_joined, is_program = 0, 0, True, True
    for word in words:
        letters = word.letters
        if letters.startswith(("-", *_HOLES)):
            waiting |= now
        now |= waiting
        if not (is_joined or word.may_vanish):
            now = states.after(now, " ")
        now = _after_word(states, now, letters, may_begin_unknown=is_program)
        if states.accepts(now):
            return True
        is_joined, is_program = word.may_vanish, is_program and word.may_vanish
    return False


def _after_word(states: _States, now: int, letters: str, *, may_begin_unknown: bool) -> int:
    """Return the states after one more word. A row begins at the word and after each slash; in a hole only where the
    word is the program."""
    may_begin = True
    for sign in letters:
        is_hole = sign in _HOLES
        if may_begin and (may_begin_unknown or not is_hole):
            now |= 1
        now = states.after_hole(now) if is_hole else states.after(now, sign)
        may_begin = sign == "/"
    return now


@dataclass(frozen=True)
class _States:
    """Bit i: the first i signs of the pattern were met. `stars`: where any text may follow."""

    met_by: dict[str, int]
    met_by_all: int
    stars: int
    length: int

    def after(self, now: int, sign: str) -> int:
        return (now & self.met_by.get(sign, self.met_by_all)) << 1 | now & self.stars

    def after_hole(self, now: int) -> int:
        """Every state from the lowest on can be reached."""
        return -(now & -now) & ((2 << self.length) - 1)

    def accepts(self, now: int) -> bool:
        return bool(now >> self.length)


@lru_cache(maxsize=4096)
def _states(pattern: str) -> _States:
    stars = at = met_by_all = 0
    met_by: dict[str, int] = {}
    for sign in pattern:
        if sign == "*":
            stars |= 1 << at
            continue
        if sign == "?":
            met_by_all |= 1 << at
        else:
            met_by[sign] = met_by.get(sign, 0) | 1 << at
        at += 1
    return _States({sign: bits | met_by_all for sign, bits in met_by.items()}, met_by_all, stars, at)
