"""Settings are checked by the programs that read them, before anything starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli.local.settings_check import check_settings
from cli.local.supervisor import StartFailed

GIVEN = {
    "PATH": os.environ["PATH"],
    "DATABASE_URL": "postgresql:///x",
    "RUNYARD_SECRET_KEY": "5e" * 32,
    "S3_BUCKET": "",
}


def test_good_settings_pass() -> None:
    check_settings(GIVEN, has_trial_store=True)


def test_bad_settings_of_all_parts_are_named_at_once() -> None:
    with pytest.raises(StartFailed) as refused:
        check_settings({**GIVEN, "WORKER_CONCURRENCY": "many", "MAX_PROMPT_BYTES": "-1"}, has_trial_store=True)
    said = str(refused.value)
    assert said.startswith("Nothing was started. Correct these settings")
    assert "WORKER_CONCURRENCY" in said
    assert "MAX_PROMPT_BYTES" in said


def test_settings_may_stand_in_files(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql:///x")
    given = {name: value for name, value in GIVEN.items() if name != "DATABASE_URL"}

    check_settings({**given, "DATABASE_URL_FILE": str(tmp_path / "url")}, has_trial_store=True)
    with pytest.raises(StartFailed, match="DATABASE_URL_FILE names a file that cannot be read"):
        check_settings({**given, "DATABASE_URL_FILE": str(tmp_path / "none")}, has_trial_store=True)
