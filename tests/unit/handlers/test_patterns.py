"""Patterns name what a reader of them expects, as a slow and plain matcher does."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.patterns import LONGEST_TEXT, path_matches, program_size, text_matches
from schema.approval_rules import LONGEST_PATTERN
from tests.steps import steps_of
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


@pytest.mark.parametrize(
    "pattern", ["?" * 256, "**/" * 85 + "b", "*a" * 127 + "b", "*" + "a" * 254 + "b", "*a" + "?" * 254, "ü?*" * 85]
)
def test_the_steps_for_each_byte_of_a_text_are_bounded(pattern: str) -> None:
    """RE2 promises at most as many steps for a byte as the program has instructions."""
    assert len(pattern) <= LONGEST_PATTERN
    assert program_size(pattern) < 10 * LONGEST_PATTERN


@pytest.mark.parametrize(("text", "pattern"), [("a" * 60_000, "*a" * 127 + "b"), ("a" * 60_000, "*" + "a" * 254 + "b")])
def test_a_match_calls_no_more_for_a_longer_text(text: str, pattern: str) -> None:
    assert not text_matches(text, pattern)
    assert steps_of(lambda: text_matches(text, pattern)) < 30
    path = "/".join("a" * 30_000)
    assert not path_matches(path, "**/a/" * 15 + "b")
    assert steps_of(lambda: path_matches(path, "**/a/" * 15 + "b")) < 30


def test_a_text_at_the_limit_and_one_beyond() -> None:
    assert text_matches("a" * LONGEST_TEXT, "a*")
    assert not text_matches("a" * (LONGEST_TEXT + 1), "a*")
    assert not text_matches("ü" * (LONGEST_TEXT // 2 + 1), "ü*")


@given(
    text=st.text(alphabet="ab\n*", max_size=12),
    pattern=st.text(alphabet="ab\n*", min_size=1, max_size=8),
)
def test_pieces_match_what_an_expression_matches(text: str, pattern: str) -> None:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert text_matches(text, pattern) == (re.fullmatch(expression, text, re.DOTALL) is not None)


def test_each_character_is_looked_at_a_few_times_however_many_pieces_there_are() -> None:
    """A search that began anew for each piece would need 30,000 times 512 steps."""
    text = "a" * LONGEST_TEXT
    assert text_matches(text, "*a" * 511 + "*")
    assert not text_matches(text, "*" + "a" * 1000 + "b*")
    assert not text_matches(text, "*a" * 511 + "b")
