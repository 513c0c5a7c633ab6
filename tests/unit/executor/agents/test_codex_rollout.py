"""Codex's transcript tells the status of its model's server, whatever else stands there."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from executor.agents import codex_rollout
from executor.agents.codex_rollout import turn_failed, words_of_failed_turn
from executor.agents.model_failures import ModelFailure
from executor.agents.turn import Turn
from tests.start_runs import start_run

OWN = ModelFailure("We are busy", is_final=True)
NO_WORDS = "and Codex keeps none of the server's words. It says: We are busy"


def turn_that_ended_with(home: Path, error: Any) -> Turn:
    folder = home / ".codex/sessions/2026/11/28"
    folder.mkdir(parents=True)
    payload = {"type": "task_complete", "started_at": 1000, "error": error}
    (folder / "rollout-1-abc.jsonl").write_text(json.dumps({"type": "event_msg", "payload": payload}) + "\n")
    return Turn(run=start_run(), workspace=home, home=home)


def told(home: Path, error: Any) -> str:
    turn = turn_that_ended_with(home, error)
    return asyncio.run(turn_failed(OWN, turn, "abc", dialect="codex", since=1000.5)).message


@pytest.mark.parametrize(
    "kind, status",
    [
        ("internal_server_error", "500 Internal Server Error"),
        ({"response_too_many_failed_attempts": {"http_status_code": 429}}, "429 Too Many Requests"),
        ({"response_too_many_failed_attempts": {"http_status_code": 599}}, "599"),
    ],
)
def test_a_status_without_words_is_told(tmp_path: Path, kind: Any, status: str) -> None:
    message = told(tmp_path, {"message": "x", "codex_error_info": kind})

    assert message == f"The agent's model failed: its server answered {status}, {NO_WORDS}"


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "other",
        {"http_connection_failed": {"http_status_code": 502}},
        {"response_too_many_failed_attempts": {"http_status_code": None}},
        {"response_too_many_failed_attempts": []},
    ],
)
def test_other_failures_are_told_as_they_are(tmp_path: Path, kind: Any) -> None:
    assert told(tmp_path, {"message": "x", "codex_error_info": kind}) == "The agent's model failed: We are busy"


def test_an_earlier_turns_error_is_not_this_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codex_rollout, "LOOKS", 1)
    turn = turn_that_ended_with(tmp_path, {"message": "bad key", "codex_error_info": "internal_server_error"})

    assert asyncio.run(words_of_failed_turn(turn, "abc", since=1000)) == "bad key"
    assert asyncio.run(words_of_failed_turn(turn, "abc", since=1001)) == ""
