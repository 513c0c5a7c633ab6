"""What agents say of their model's failures is read, whatever else stands there."""

from __future__ import annotations

from typing import Any

import pytest

from executor.agents.model_failures import ModelFailure, failure_of, plain_words, words_of_log


def meta(**failure: Any) -> dict[str, Any]:
    return {"jetbrains": {"air": {"version": 1, "sessionFailure": failure}}}


@pytest.mark.parametrize("nothing", [None, {}, {"jetbrains": []}, {"jetbrains": {"air": 1}}, meta(), {"quota": {}}])
def test_no_failure_is_none(nothing: dict[str, Any] | None) -> None:
    assert failure_of(nothing) is None


def test_a_failure_is_final_a_retry_or_a_notice() -> None:
    final = failure_of(meta(severity="error", category="service", title="Too many requests"))
    retry = failure_of(meta(severity="warning", category="service", title="Reconnecting", details="2/5"))
    notice = failure_of(meta(severity="warning", category="unknown", title="No metadata"))

    assert final == ModelFailure("Too many requests", is_final=True)
    assert retry == ModelFailure("Reconnecting: 2/5", is_final=False)
    assert notice == ModelFailure("No metadata", is_final=False, is_notice=True)


def test_a_refused_key_is_a_missing_login() -> None:
    failure = failure_of(meta(severity="error", category="access", title="Sign in"))

    assert failure
    assert failure.as_turn_failure().code == "login_missing"


def test_the_words_of_a_servers_error_body_are_taken_out_of_it() -> None:
    assert plain_words('400: {"error": {"type": "x", "message": "bad \\"tea\\""}}') == 'bad "tea"'
    assert plain_words("no body at all") == "no body at all"
    assert len(plain_words("x" * 100_000)) < 1200


def test_opencodes_log_tells_its_models_error() -> None:
    line = 'timestamp=1 level=ERROR run=1 message="stream error" error.error="AI_APICallError: the \\"kettle\\" broke"'

    assert words_of_log(line) == 'the "kettle" broke'
    assert words_of_log(line.replace("ERROR", "INFO")) is None
    assert words_of_log("anything else") is None
