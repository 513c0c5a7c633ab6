"""Whatever an agent does wrong fails its own run with a code and a sentence, or does no harm at all."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from executor.agents.provider import Dialect, HomeFile, Provider, Variable
from schema.errors import Invalid
from schema.events import HumanRequested
from schema.executor_api import Answer
from tests.integration.executor.agents.turns import AGENTS_DIR, SessionFolders, Took, answering

SCRIPT = Path(__file__).parent / "misbehaving.py"


def bad(
    way: str,
    *,
    start_seconds: float = 20,
    environment: tuple[Variable, ...] = (),
    files: tuple[HomeFile, ...] = (),
    dialect: Dialect = "acp",
) -> Provider:
    return Provider(
        name="bad",
        title="Bad agent",
        command=sys.executable,
        args=("-P", str(SCRIPT), way),
        agents_dir=AGENTS_DIR,
        dialect=dialect,
        start_seconds=start_seconds,
        environment=environment,
        files=files,
        host_environment={"PATH": "/usr/bin:/bin"},
        options=("cwd",),
    )


def reason(took: Took) -> str:
    return took.finished.reason.message if took.finished.reason else ""


def test_a_crash_at_the_start_is_told_with_its_last_words(folders: SessionFolders) -> None:
    took = folders.take(bad("crash_at_start"), "Hello")

    assert (took.finished.status, took.code) == ("failed", "agent_crashed")
    assert "exited with 7" in reason(took)
    assert "cannot find my brain" in reason(took)


def test_garbage_alone_is_a_protocol_error(folders: SessionFolders) -> None:
    took = folders.take(bad("only_garbage"), "Hello")

    assert took.code == "protocol_error"
    assert "5 lines" in reason(took)


def test_silence_ends_at_the_start_limit(folders: SessionFolders) -> None:
    took = folders.take(bad("hang_at_start", start_seconds=1.5), "Hello")

    assert took.code == "agent_silent"
    assert "still warming up" in reason(took)
    assert took.leftovers == []


@pytest.mark.parametrize("way", ["wrong_version", "wrong_answer"])
def test_another_protocol_is_a_protocol_error(folders: SessionFolders, way: str) -> None:
    assert folders.take(bad(way), "Hello").code == "protocol_error"


def test_a_file_in_the_place_of_a_folder_of_the_home_is_left_to_the_agent(folders: SessionFolders) -> None:
    home = folders.folder / "home"
    (home / ".local").mkdir(parents=True)
    (home / ".local/share").write_text("mine")
    (home / ".config").write_text("mine")

    assert folders.take(bad("environment"), "Hello").finished.status == "succeeded"
    assert [(home / each).read_text() for each in (".config", ".local/share")] == ["mine", "mine"]
    assert (home / ".cache").is_dir()


def test_a_home_that_cannot_be_made_ready_is_told_with_its_path(folders: SessionFolders) -> None:
    home = folders.folder / "home"
    home.mkdir(parents=True)
    (home / ".config").write_text("mine")

    took = folders.take(
        bad("environment", files=(HomeFile(path=".config/agent/settings.json", content="{}"),)), "Hello"
    )

    assert (took.finished.status, took.code) == ("failed", "home_unusable")
    assert str(home / ".config") in reason(took)


def test_a_providers_file_is_not_written_through_a_link_of_the_home(folders: SessionFolders) -> None:
    home = folders.folder / "home"
    home.mkdir(parents=True)
    (home / ".config").symlink_to(folders.folder / "workspace")

    took = folders.take(bad("environment", files=(HomeFile(path=".config/agent/key", content="a key"),)), "Hello")

    assert (took.finished.status, took.code) == ("failed", "home_unusable")
    assert f"{home / '.config'}: it is a link, and Runyard writes through none" in reason(took)
    assert not (folders.folder / "workspace/agent").exists()


def test_a_missing_program_is_named(folders: SessionFolders) -> None:
    provider = Provider(name="none", title="Nobody", command="no-such-agent-program", agents_dir=AGENTS_DIR)

    took = folders.take(provider, "Hello")

    assert took.code == "program_missing"
    assert "no-such-agent-program" in reason(took)


def test_lines_that_are_no_messages_are_passed_over(folders: SessionFolders) -> None:
    took = folders.take(bad("garbage_between"), "Hello")

    assert took.finished.status == "succeeded"
    assert took.text() == "before after"


def test_text_that_nobody_can_store_is_replaced(folders: SessionFolders) -> None:
    took = folders.take(bad("bad_text"), "Hello")

    assert took.text() == "nul \ufffd.lone \ufffd.bytes \ufffd\ufffd.pair \U0001f600."
    written = json.dumps([data.to_json() for _, data in took.events], allow_nan=False)
    assert "\\u0000" not in written
    assert took.of("tool.call")[0]["title"] == "a\ufffdb"


def test_an_error_that_is_no_object_ends_the_turn_all_the_same(folders: SessionFolders) -> None:
    took = folders.take(bad("answer_without_an_object_for_its_error"), "Hello", timeout_seconds=10)

    assert took.code == "agent_error"
    assert "I would rather not" in reason(took)


def test_answers_to_nothing_are_passed_over(folders: SessionFolders) -> None:
    took = folders.take(bad("odd_ids"), "Hello")

    assert (took.finished.status, took.text()) == ("succeeded", "survived")


def test_calls_with_deep_input_are_told_without_their_depths(folders: SessionFolders) -> None:
    took = folders.take(bad("deep_input"), "Hello")

    assert (took.finished.status, took.text()) == ("succeeded", "survived")
    told = took.of("tool.call")
    assert [call["toolCallId"] for call in told] == ["0", "1", "2"]
    assert ["nested too deeply" in json.dumps(call) for call in told[:2]] == [True, True]
    assert "left out" in told[2]["output"]


def test_a_50_mb_output_is_cut_with_a_note(folders: SessionFolders) -> None:
    took = folders.take(bad("huge_output"), "Hello")

    [output] = [one["output"] for one in took.of("tool.update") if "output" in one]
    assert len(output) < 70_000
    assert "bytes left out" in output
    assert output.endswith("the end")
    assert took.text() == "survived"


def test_a_line_without_end_keeps_the_connection(folders: SessionFolders) -> None:
    took = folders.take(bad("endless_line"), "Hello")

    updates = took.of("tool.update")
    assert updates[-1]["status"] == "completed"
    assert "left out" in updates[-1]["output"]
    assert took.text() == "survived"


def test_what_was_not_offered_is_refused(folders: SessionFolders) -> None:
    took = folders.take(bad("unknown_requests"), "Hello")

    assert took.text().count("=refused") == 5
    assert "ACCEPTED" not in took.text()


def test_a_denial_never_becomes_consent(folders: SessionFolders) -> None:
    took = folders.take(bad("no_way_out"), "Hello", decide=answering("deny"))

    assert '"outcome": "cancelled"' in took.text()


def test_a_request_that_nobody_can_be_asked_is_an_error_to_the_agent(folders: SessionFolders) -> None:
    def refuse(_: HumanRequested) -> Answer:
        raise Invalid("Nobody can be asked this.")

    took = folders.take(bad("asks_in_vain"), "Hello", decide=refuse)

    assert (took.finished.status, json.loads(took.text())["code"]) == ("succeeded", -32602)
    assert "Nobody can be asked this." in took.text()


def test_a_long_error_is_told_in_brief(folders: SessionFolders) -> None:
    took = folders.take(bad("long_error"), "Hello")

    assert took.code == "agent_error"
    assert len(reason(took)) < 5000
    assert reason(took).endswith("no more")


def test_who_does_not_listen_is_killed_with_all_children(folders: SessionFolders) -> None:
    took = folders.take(bad("deaf"), "Hello", grace_seconds=0.5, stop_when=lambda type_, _: type_ == "message.delta")

    assert took.code == "stopped"
    assert took.leftovers == []


@pytest.mark.parametrize("way", ["deaf", "reads_nothing"])
def test_the_time_limit_ends_a_turn(folders: SessionFolders, way: str) -> None:
    took = folders.take(bad(way), "Hello", timeout_seconds=1, grace_seconds=0.5)

    assert (took.finished.status, took.code) == ("failed", "timeout")
    assert took.leftovers == []


def test_much_stderr_does_no_harm(folders: SessionFolders) -> None:
    assert folders.take(bad("flood_of_errors"), "Hello").finished.status == "succeeded"


def test_what_comes_after_the_answer_is_taken(folders: SessionFolders) -> None:
    took = folders.take(bad("late_updates"), "Hello")

    assert took.text() == "one two"
    cost = took.finished.to_json()["usage"]["cost"]
    assert cost == {"amount": 0.5, "currency": "EUR", "source": "reported"}


def test_the_order_of_updates_is_kept(folders: SessionFolders) -> None:
    took = folders.take(bad("out_of_order"), "Hello")

    assert took.text() == "".join(f"{number}," for number in range(2000))


def test_the_agent_sees_nothing_of_ours(folders: SessionFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EXECUTOR_TOKEN", "RUNYARD_KEY", "DATABASE_URL", "PROVIDERS_FILE", "npm_config_x", "AWS_SECRET"):
        monkeypatch.setenv(name, "ours")

    took = folders.take(bad("environment", environment=(Variable(name="GIVEN", value="theirs"),)), "Hello")

    seen = json.loads(took.text())
    assert "ours" not in seen.values()
    assert seen["GIVEN"] == "theirs"
    assert seen["RUNYARD_SESSION_ID"] == str(folders.session_id)
    assert seen["HOME"] == str(folders.folder / "home")


def test_a_secret_stays_out_of_reasons(folders: SessionFolders) -> None:
    token = Variable(name="TOKEN", value="hunter2-hunter2", secret=True)

    took = folders.take(bad("secret_on_stderr", environment=(token,)), "Hello")

    assert "hunter2" not in reason(took)
    assert "[secret]" in reason(took)


def test_a_folder_outside_of_the_workspace_is_refused(folders: SessionFolders) -> None:
    assert folders.take(bad("environment"), "Hello", cwd="../home").code == "option_refused"


def test_an_option_that_is_not_declared_is_refused(folders: SessionFolders) -> None:
    took = folders.take(bad("environment"), "Hello", model="x")

    assert took.code == "option_refused"
    assert "model" in reason(took)


def test_waiting_for_a_person_does_not_count(folders: SessionFolders, demo: Provider) -> None:
    begun = time.monotonic()

    took = folders.take(demo, "write a.txt: x", decide=lambda _: None, timeout_seconds=1.5, stop_after=4.0)

    assert took.code == "stopped"
    assert time.monotonic() - begun >= 4.0
