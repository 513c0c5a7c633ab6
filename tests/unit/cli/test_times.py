"""Times as people say them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cli.times import ago_words, length_words, moment_words, with_moment_words

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (45, "45 s"), (3599, "59 min"), (3600, "1 h"), (7500, "2 h 5 min"), (273_600, "3 d 4 h")],
)
def test_a_length_is_told_in_its_largest_units(seconds: float, said: str) -> None:
    assert length_words(seconds) == said


def test_a_time_is_told_as_ago_up_to_a_day_and_then_by_its_day() -> None:
    assert ago_words(NOON - timedelta(seconds=3), now=NOON) == "just now"
    assert ago_words(NOON - timedelta(minutes=5), now=NOON) == "5 min ago"
    assert ago_words(NOON - timedelta(days=5), now=NOON).split()[:2] == ["10", "Jun"]


def test_a_moment_names_as_much_of_its_date_as_is_needed() -> None:
    here = NOON.astimezone()
    assert moment_words(here.replace(hour=1, minute=5), now=NOON) == "01:05"
    assert moment_words(here.replace(hour=1, minute=5) - timedelta(days=1), now=NOON) == "yesterday 01:05"
    assert moment_words(here.replace(year=2025), now=NOON) == "15 Jun 2025"


@pytest.mark.parametrize("written", ["2020-06-15T12:00:00Z", "2020-06-15T12:00:00.5Z", "2020-06-15T12:00:00+00:00"])
def test_times_in_the_apis_json_are_put_into_words_at_any_depth(written: str) -> None:
    words = moment_words(datetime(2020, 6, 15, 12, tzinfo=UTC))
    given = {"at": written, "history": [{"at": written, "what": f"until {written}"}], "epoch": 2, "owner": None}
    said = {"at": words, "history": [{"at": words, "what": f"until {written}"}], "epoch": 2, "owner": None}
    assert with_moment_words(given) == said
