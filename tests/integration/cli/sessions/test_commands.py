"""`python -m cli sessions`, `runs`, `show` and `open` against a server."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from cli.__main__ import NOT_UTF_8, main
from tests.integration.cli.admin.test_human_loop import asks
from tests.integration.cli.conftest import Run
from tests.integration.functions.conftest import Served


def test_sessions_and_runs_are_listed_as_people_say_it_and_as_json(run: Run, served: Served) -> None:
    driver = served.bind()
    driver.finish()
    _, table, _ = run("sessions")
    head, line = table.splitlines()
    assert head.split() == ["SESSION", "STATUS", "USED", "TITLE"]
    assert line.startswith(f"{driver.session_id}  idle    just now  ")
    [session] = json.loads(run("sessions", "--json")[1])
    assert session["sessionId"] == str(driver.session_id)
    _, table, _ = run("runs", "--session", str(driver.session_id))
    assert table.splitlines()[1].startswith(f"{driver.run_id}  succeeded  elsewhere  just now")
    [listed] = json.loads(run("runs", "--status", "succeeded", "--json")[1])
    assert listed["runId"] == str(driver.run_id)
    assert run("runs", "--status", "failed")[1] == "No entries.\n"


def test_a_run_is_shown_from_its_prompt_to_its_end(run: Run, served: Served) -> None:
    driver = served.bind()
    driver.report(driver.delta("This is "), driver.delta("the answer."))
    driver.finish()
    status, shown, _ = run("show", str(driver.run_id))
    lines = shown.splitlines()
    assert status == 0
    assert lines[0].startswith(f"run {driver.run_id}  elsewhere, ")
    assert lines[1] == "› drive"
    assert "This is the answer." in lines
    assert lines[-1] == f"Continue this session with: make chat SESSION={driver.session_id}"
    whole = json.loads(run("show", str(driver.run_id), "--json")[1])
    assert [event["type"] for event in whole["events"]][-1] == "run.finished"


def test_a_run_that_is_not_there_is_a_sentence_and_a_status(run: Run) -> None:
    status, _, complaint = run("show", "00000000-0000-0000-0000-000000000001")
    assert (status, complaint) == (1, "There is no such run.\n")


def test_the_portals_address_is_printed(run: Run, served: Served) -> None:
    session = str(served.bind().session_id)
    address = f"{served.url}/s/{session}"
    assert run("open", session, "--print")[:2] == (0, f"{address}\n")
    assert json.loads(run("open", session, "--print", "--json")[1]) == {"url": address}


@pytest.mark.parametrize("more", [[], ["--print"], ["--json"]])
def test_no_address_is_printed_of_a_session_that_is_not_there(run: Run, more: list[str]) -> None:
    assert run("open", "00000000-0000-0000-0000-000000000001", *more) == (1, "", "There is no such session.\n")


def test_a_run_says_who_answered_its_question(run: Run, served: Served) -> None:
    driver = served.bind()
    request = asks(driver, "Write a.txt")
    assert run("reply", request, "deny", "--reason", "not now")[0] == 0
    assert run("reply", request, "allow") == (1, "", "This request was answered already.\n")
    driver.finish()
    assert "answered by you: deny (not now)" in run("show", str(driver.run_id))[1].splitlines()


@pytest.mark.parametrize("command", [["sessions", "--search"], ["audit", "--path"]])
def test_bytes_that_are_not_utf_8_are_told_in_a_sentence(run: Run, command: list[str]) -> None:
    status, _, complaint = run(*command, "a\udcffb")
    assert (status, complaint) == (1, f"{NOT_UTF_8}\n")


@pytest.mark.usefixtures("run")
def test_a_terminal_that_lacks_characters_shows_question_marks(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    driver, screen = served.bind(), io.BytesIO()
    driver.report(driver.delta("na\u00efve \u2713"))
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdout", io.TextIOWrapper(screen, encoding="latin-1", write_through=True))
        assert main(["show", str(driver.run_id)]) == 0
        said = screen.getvalue().decode("latin-1")
    assert "na\u00efve ?" in said


@pytest.mark.parametrize("command", [["chat", "hello"], ["sessions"], ["runs"], ["open"], ["pending"]])
def test_a_stopped_clone_is_told_as_such(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUNYARD_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("RUNYARD_URL", raising=False)
    monkeypatch.setenv("RUNYARD_TOKEN", "t")
    assert main(command) == 1
    said = capsys.readouterr()
    assert "Runyard is not running for this clone. Start it with make up" in said.out + said.err


def test_make_adds_no_error_of_its_own_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUNYARD_DATA_DIR", str(tmp_path))
    assert main(["--from-make", "sign-in"]) == 1
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main(["--from-make", "sign-in"]) == 0
    assert main(["sign-in"]) == 1
    assert "Runyard is not running" in capsys.readouterr().out
