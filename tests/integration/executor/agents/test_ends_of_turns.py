"""A turn ends with what happened: silence, open calls, processes that were left, and starts that failed are told."""

from __future__ import annotations

import pytest

from executor.agents.provider import Provider
from tests.integration.executor.agents.test_misbehaving_agents import bad, reason
from tests.integration.executor.agents.turns import SessionFolders, Took, scripted_agent
from tests.model_server.starter import ModelServer


def warnings(took: Took) -> list[str]:
    return [warning["code"] for warning in took.of("run.warning")]


def test_a_start_that_failed_is_tried_once_more(folders: SessionFolders) -> None:
    took = folders.take(bad("crash_at_first_start"), "Hello")

    assert (took.finished.status, took.text()) == ("succeeded", "at last")
    assert warnings(took) == ["agent_restarted"]
    assert took.types().count("run.started") == 1


def test_a_start_that_fails_again_fails_the_run(folders: SessionFolders) -> None:
    took = folders.take(bad("crash_at_start"), "Hello")

    assert (took.finished.status, took.code) == ("failed", "agent_crashed")
    assert warnings(took) == ["agent_restarted"]


def test_a_stop_while_a_failed_start_ends_leaves_no_process(folders: SessionFolders) -> None:
    took = folders.take(
        bad("hang_at_start", start_seconds=1.5), "Hello", stop_when=lambda type_, _: type_ == "run.warning"
    )

    assert took.code == "stopped"
    assert warnings(took) == ["agent_restarted"]
    assert took.leftovers == []


def test_the_reason_of_a_crash_is_one_sentence(folders: SessionFolders) -> None:
    took = folders.take(bad("long_last_words"), "Hello")

    assert reason(took).startswith(
        "The agent exited with 7 before its turn ended; its last line of output was: the last"
    )
    assert "first line" not in reason(took)
    assert len(reason(took)) < 300


def test_a_turn_without_content_is_warned_of(folders: SessionFolders) -> None:
    took = folders.take(bad("says_nothing"), "Hello")

    assert took.finished.status == "succeeded"
    assert warnings(took) == ["empty_turn"]


def test_an_open_call_ends_with_its_turn(folders: SessionFolders) -> None:
    took = folders.take(bad("leaves_a_call_open"), "Hello")

    assert took.finished.status == "succeeded"
    assert took.of("tool.update") == [{"toolCallId": "t", "status": "failed"}]


def test_a_process_that_was_left_is_ended_and_told(folders: SessionFolders) -> None:
    took = folders.take(bad("leaves_a_process"), "Hello")

    [told] = took.of("run.warning")
    assert told["code"] == "process_ended"
    assert "sleep 612" in told["message"]
    assert took.leftovers == []


def test_silence_is_told_once_and_then_ends_the_run(folders: SessionFolders) -> None:
    took = folders.take(
        bad("hangs_in_a_turn"), "Hello", silence_told_seconds=0.5, silent_seconds=1.5, grace_seconds=0.5
    )

    assert (took.finished.status, took.code) == ("failed", "agent_error")
    assert "said nothing for 1.5 seconds" in reason(took)
    assert warnings(took) == ["agent_silent"]
    assert took.leftovers == []


def test_a_long_tool_call_is_no_silence(folders: SessionFolders) -> None:
    took = folders.take(bad("works_long"), "Hello", silence_told_seconds=1, silent_seconds=1.5)

    assert (took.finished.status, took.text()) == ("succeeded", "slept")
    assert warnings(took) == []


def test_an_agent_that_asks_its_model_endlessly_is_ended(folders: SessionFolders) -> None:
    took = folders.take(bad("asks_its_model_endlessly", dialect="opencode"), "Hello", grace_seconds=0.5)

    assert (took.finished.status, took.code) == ("failed", "agent_error")
    assert "broke off its answer 10 times in a row" in reason(took)
    assert [stop["stopReason"] for stop in took.of("message.stop")].count("given_up") >= 10


def test_text_after_the_end_is_late(folders: SessionFolders) -> None:
    took = folders.take(bad("speaks_while_it_ends"), "Hello", late_seconds=60)

    assert (took.finished.status, took.text()) == ("succeeded", "in time")
    assert [(type_, data.to_json().get("text")) for type_, data in took.late] == [
        ("message.delta", "too late"),
        ("message.stop", None),
    ]


def test_text_long_after_the_answer_is_dropped(folders: SessionFolders) -> None:
    took = folders.take(bad("speaks_while_it_ends"), "Hello", late_seconds=0)

    assert (took.finished.status, took.text(), took.late) == ("succeeded", "in time", [])


def test_a_failure_that_the_model_recovered_from_is_not_told_for_a_later_silence(folders: SessionFolders) -> None:
    took = folders.take(bad("hangs_then_recovers"), "Hello", silent_seconds=2, grace_seconds=0.5)

    assert took.text() == "Here again"
    assert reason(took) == "The agent said nothing for 2 seconds and ran no tool call, so Runyard ended it."


@pytest.mark.agents
@pytest.mark.timeout(180)
def test_a_command_that_outlives_a_turn_of_codex_ends_with_it(
    model: ModelServer, folders: SessionFolders, codex: Provider
) -> None:
    long = {"cmd": "sleep 613", "yield_time_ms": 250}
    model.add({"tool": "native", "name": "exec_command", "input": long}, {"text": "It runs in the background"})

    took = folders.take(codex, "Start it", mode="auto", timeout_seconds=100)

    assert took.finished.status == "succeeded", took.finished
    ended = {update["toolCallId"]: update["status"] for update in took.of("tool.update") if "status" in update}
    assert list(ended.values()) == ["failed"]
    assert took.leftovers == []


@pytest.fixture
def codex(model: ModelServer, folders: SessionFolders) -> Provider:
    folders.folder.mkdir(parents=True)
    return scripted_agent("codex", model, folders.folder)
