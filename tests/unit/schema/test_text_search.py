"""Lines that hold a text are found, whatever bytes the file has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schema.text_search import MOST_LINE, MOST_LINES_OF_FILE, text_matches


def test_lines_are_numbered_and_found_in_any_case() -> None:
    found = text_matches(b"one\r\nTwo needle\r\nthree\nNEEDLE", "Needle")
    assert [(match.line, match.text) for match in found] == [(2, "Two needle"), (4, "NEEDLE")]


def test_binary_content_is_no_text() -> None:
    assert text_matches(b"\x00needle", "needle") == []


def test_bytes_that_are_not_utf8_hide_nothing_beside_them() -> None:
    assert [match.text for match in text_matches(b"\xff needle \xfe", "needle")] == ["\ufffd needle \ufffd"]


def test_of_a_long_line_the_match_is_shown() -> None:
    [match] = text_matches(("x" * 10_000 + "needle" + "y" * 10_000).encode(), "needle")
    assert "needle" in match.text
    assert len(match.text) <= MOST_LINE


def test_a_file_shows_its_first_matching_lines_only() -> None:
    found = text_matches(b"needle\n" * 1000, "needle")
    assert [match.line for match in found] == list(range(1, MOST_LINES_OF_FILE + 1))


@given(st.binary(max_size=200), st.text(min_size=1, max_size=5))
def test_any_bytes_are_searched_and_shown_storably(content: bytes, wanted: str) -> None:
    for match in text_matches(content, wanted):
        assert "\x00" not in match.text
        assert len(match.text) <= MOST_LINE
