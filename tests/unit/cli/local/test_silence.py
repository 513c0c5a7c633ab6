"""Silence is what a program leaves untouched while the supervisor itself runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli.local.silence import FIRST_BEAT_SECONDS, SILENT_SECONDS, ProgramSilence


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "alive"
    touch(file, at=0)
    return file


def touch(file: Path, *, at: float) -> None:
    file.touch()
    os.utime(file, (at, at))


def turns(silence: ProgramSilence, *, start: float, seconds: float) -> bool:
    """Look once a second for so long, and return the last answer."""
    answers = [silence.is_too_long(start + second) for second in range(int(seconds) + 1)]
    return answers[-1]


def test_an_untouched_file_is_silence_after_its_time(file: Path) -> None:
    silence = ProgramSilence(file)
    assert not turns(silence, start=100, seconds=SILENT_SECONDS)
    assert silence.is_too_long(101 + SILENT_SECONDS)


def test_each_touch_ends_the_silence(file: Path) -> None:
    silence = ProgramSilence(file)
    turns(silence, start=100, seconds=SILENT_SECONDS)
    touch(file, at=1)
    assert not turns(silence, start=101 + SILENT_SECONDS, seconds=SILENT_SECONDS)


def test_a_freeze_of_the_supervisor_and_the_program_together_is_no_silence(file: Path) -> None:
    silence = ProgramSilence(file)
    turns(silence, start=100, seconds=2)
    thawed_at = 102 + 60 * SILENT_SECONDS
    assert not silence.is_too_long(thawed_at)
    assert not turns(silence, start=thawed_at, seconds=SILENT_SECONDS - 4), "it has time to touch its file"
    assert turns(silence, start=thawed_at + SILENT_SECONDS - 4, seconds=5), "it is frozen all the same"


def test_a_program_that_was_started_again_has_more_time_for_its_first_touch(file: Path) -> None:
    silence = ProgramSilence(file)
    silence.begin_again(100)
    assert not turns(silence, start=100, seconds=FIRST_BEAT_SECONDS + SILENT_SECONDS)
    assert silence.is_too_long(101 + FIRST_BEAT_SECONDS + SILENT_SECONDS)


@pytest.mark.parametrize("name", ["missing", None])
def test_a_program_without_its_file_is_never_silent(tmp_path: Path, name: str | None) -> None:
    silence = ProgramSilence(tmp_path / name if name else None)
    assert not turns(silence, start=100, seconds=10 * SILENT_SECONDS)
