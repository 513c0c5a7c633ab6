"""Match patterns of rules: `*` is any run of characters, `?` a single character. In paths neither matches a slash,
and a name `**` matches any number of names, even none.

RE2 matches in time linear in the text, whatever the pattern. Python's `re` would backtrack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import groupby

import re2

LONGEST_TEXT = 64 * 1024
"""Bytes of a text that rules judge. A longer text matches nothing: its call is asked."""
_CACHED = 64
_MEMORY = 2 * 1024 * 1024
"""Bytes that one pattern may use. A pattern that needs more runs without a cache of states, still in linear time."""


def text_matches(text: str, pattern: str) -> bool:
    """Return whether the pattern matches the complete text."""
    if "?" in pattern:
        return _is_match(_text_program(pattern), text)
    return not is_too_long(text) and _has_pieces(text, pattern.split("*"))


def _has_pieces(text: str, pieces: list[str]) -> bool:
    """Return whether the text is the pieces in their order, with anything between two of them. Each piece is searched
    behind the one before: the leftmost place leaves the most for the rest."""
    first, *middle = pieces[:-1] or [""]
    last = pieces[-1]
    if len(pieces) == 1:
        return text == last
    at, end = len(first), len(text) - len(last)
    if at > end or not (text.startswith(first) and text.endswith(last)):
        return False
    for piece in middle:
        at = text.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True


def path_matches(path: str, pattern: str) -> bool:
    """Return whether the pattern matches the path. A path outside of the workspace begins with a slash or a tilde; only
    a pattern with the same beginning matches it."""
    if path.startswith(("/", "~")) != pattern.startswith(("/", "~")):
        return False
    return _is_match(_path_program(pattern), f"/{path}")


def path_matcher(pattern: str) -> Callable[[str], bool]:
    """Return whether paths match the pattern, compiled once for many of them. A first slash or tilde means nothing."""
    program = _path_program(pattern)
    return lambda path: _is_match(program, f"/{path}")


def any_path_matcher(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """Return whether paths match any of the patterns, by one program for all of them. A first slash or tilde means
    nothing."""
    program = _any_path_program(patterns)
    return lambda path: program is None or _is_match(program, f"/{path}")


def is_too_long(text: str) -> bool:
    """Return whether the text is too long to be judged."""
    return len(text) > LONGEST_TEXT or len(_bytes(text)) > LONGEST_TEXT


def program_size(pattern: str) -> int:
    """Return the instructions of the pattern's larger program: RE2 takes at most as many steps for each byte."""
    return max(int(_text_program(pattern).programsize), int(_path_program(pattern).programsize))


def _is_match(program: re2._Regexp, text: str) -> bool:
    return not is_too_long(text) and program.fullmatch(_bytes(text)) is not None


@lru_cache(maxsize=_CACHED)
def _text_program(pattern: str) -> re2._Regexp:
    return _compiled("".join(_pieces(pattern, any_character=".")))


@lru_cache(maxsize=_CACHED)
def _path_program(pattern: str) -> re2._Regexp:
    """Compile with a slash before each name, so that `**` is any number of names with their slashes."""
    return _compiled(_path_expression(pattern))


@lru_cache(maxsize=_CACHED)
def _any_path_program(patterns: tuple[str, ...]) -> re2._Regexp | None:
    """Compile all patterns as one program. Return None for patterns that are too large for one."""
    try:
        return _compiled("|".join(f"(?:{_path_expression(pattern)})" for pattern in patterns))
    except re2.error:
        return None


def _path_expression(pattern: str) -> str:
    return "".join(_name(name) for name in pattern.split("/"))


def _name(name: str) -> str:
    return "(?:/[^/]*)*" if name == "**" else "/" + "".join(_pieces(name, any_character="[^/]"))


def _pieces(pattern: str, *, any_character: str) -> Iterator[str]:
    for character, repeated in groupby(pattern):
        count = sum(1 for _ in repeated)
        if character == "*":
            yield f"{any_character}*"
        else:
            yield (any_character if character == "?" else str(re2.escape(character))) * count


def _compiled(expression: str) -> re2._Regexp:
    options = re2.Options()
    options.max_mem, options.dot_nl, options.log_errors, options.never_capture = _MEMORY, True, False, True
    return re2.compile(_bytes(expression), options)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
