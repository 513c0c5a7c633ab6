"""Patterns name what a reader of them expects, as a slow and plain matcher does."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.human_loop.patterns import path_matches, text_matches
from tests.thoroughness import by_chance, chances

NAMES = st.text("ab.", min_size=1, max_size=3)
PATHS = st.lists(NAMES, min_size=1, max_size=5)
PATTERNS = st.lists(st.one_of(st.just("**"), st.text("ab.*?", min_size=1, max_size=3)), min_size=1, max_size=5)


def text_is_named(text: str, pattern: str) -> bool:
    """By trying everything."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return text_is_named(text, pattern[1:]) or (text != "" and text_is_named(text[1:], pattern))
    return text != "" and pattern[0] in ("?", text[0]) and text_is_named(text[1:], pattern[1:])


def path_is_named(names: list[str], wanted: list[str]) -> bool:
    if not wanted:
        return not names
    if wanted[0] == "**":
        return path_is_named(names, wanted[1:]) or (names != [] and path_is_named(names[1:], wanted))
    return names != [] and text_is_named(names[0], wanted[0]) and path_is_named(names[1:], wanted[1:])


@by_chance
@chances(500, 20_000)
@given(st.text("ab\n*?", max_size=8), st.text("ab\n*?", max_size=8))
def test_a_text_is_named_as_by_trying_everything(text: str, pattern: str) -> None:
    assert text_matches(text, pattern) == text_is_named(text, pattern)


@by_chance
@chances(500, 20_000)
@given(PATHS, PATTERNS)
def test_a_path_is_named_as_by_trying_everything(names: list[str], wanted: list[str]) -> None:
    assert path_matches("/".join(names), "/".join(wanted)) == path_is_named(names, wanted)


@pytest.mark.parametrize(
    ("path", "pattern", "named"),
    [
        ("src/a.py", "src/*.py", True),
        ("src/b/a.py", "src/*.py", False),
        ("src/b/a.py", "src/**", True),
        ("src", "src/**", True),
        (".env", "**/.env", True),
        ("a/b/.env", "**/.env", True),
        ("a.env", "**/.env", False),
        ("src.txt", "src/**", False),
        ("/etc/passwd", "**", False),
        ("/etc/passwd", "/etc/**", True),
        ("etc/passwd", "/etc/**", False),
        ("~/.ssh/id", "**", False),
        ("~/.ssh/id", "~/.ssh/*", True),
    ],
)
def test_a_path_and_its_pattern(path: str, pattern: str, named: bool) -> None:  # noqa: FBT001
    assert path_matches(path, pattern) is named


def test_no_text_takes_long() -> None:
    began = time.monotonic()
    assert not text_matches("a" * 60_000, "*a" * 500 + "b")
    assert not path_matches("/".join("a" * 500), "/".join(["**", "a"] * 15 + ["b"]))
    assert time.monotonic() - began < 5
