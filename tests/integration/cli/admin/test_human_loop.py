"""`python -m cli pending`, `reply` and `rules` against a server, as a person and as a script."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from schema.wire import Json
from tests.integration.cli.conftest import Run
from tests.integration.functions.conftest import Driver, Served

OPTIONS = [
    {"optionId": "yes", "name": "Allow", "kind": "allow_once"},
    {"optionId": "no", "name": "Reject", "kind": "reject_once"},
]


def asks(driver: Driver, title: str, **more: object) -> str:
    request_id = str(uuid4())
    asked: Json = {
        "requestId": request_id,
        "kind": "permission",
        "title": title,
        "fingerprint": "f",
        "options": OPTIONS,
    }
    assert driver.report(driver.event("human_loop.requested", **{**asked, **more}))[0] == 200
    return request_id


def read(printed: str) -> list[Json]:
    found: list[Json] = json.loads(printed)
    return found


def test_what_waits_is_shown_and_answered(run: Run, served: Served) -> None:
    call = {"input": {"path": "a.txt"}, "diffs": [{"path": "a.txt", "oldText": "old", "newText": "new"}]}
    request_id = asks(served.bind(), "Write \x1b[31ma.txt", toolCall=call)
    status, shown, _ = run("pending")
    assert status == 0
    assert f"{request_id}  Write [31ma.txt" in shown
    assert {"    -old", "    +new", "  option yes: Allow (allow_once)"} <= set(shown.splitlines())
    status, said, _ = run("reply", request_id, "deny", "--reason", "not now", "--json")
    assert (status, read(said)) == (0, [{"requestId": request_id, "status": "answered"}])
    assert run("pending")[1] == "No entries.\n"


def test_a_form_is_answered_and_a_fault_named(run: Run, served: Served) -> None:
    form = {"properties": {"colour": {"type": "string", "enum": ["red", "blue"]}}, "required": ["colour"]}
    request_id = asks(served.bind(), "Which?", kind="question", options=None, schema=form)
    status, _, complaint = run("reply", request_id, "answer", "--answers", '{"colour": "green"}')
    assert (status, complaint) == (1, "answers.colour: must be one of: red, blue\n")
    assert run("reply", request_id, "answer", "--answers", '{"colour": "red"}')[0] == 0


def test_a_rule_is_added_changed_listed_and_removed(run: Run) -> None:
    [rule] = read(run("rules", "add", "deny", "--path", "secrets/**", "--note", "No.", "--user", "me", "--json")[1])
    assert (rule["effect"], rule["pathPattern"], rule["version"]) == ("deny", "secrets/**", 1)
    [changed] = read(run("rules", "set", rule["ruleId"], "ask", "--command", "git push*", "--json")[1])
    assert (changed["effect"], changed["version"], "pathPattern" in changed) == ("ask", 2, False)
    listed = run("rules", "list")[1].splitlines()
    assert listed[1].split("  ")[:2] == [f"{rule['ruleId']}@2", "ask"]
    assert listed[1].endswith("command: git push*")
    assert run("rules", "remove", rule["ruleId"])[0] == 0
    assert run("rules", "list", "--json")[1] == "[]\n"


def test_what_is_refused_is_a_sentence_and_a_status(run: Run) -> None:
    status, _, complaint = run("reply", str(uuid4()), "allow")
    assert (status, complaint) == (1, "There is no such request.\n")
    assert run("rules", "add", "deny", "--path", "../a")[0] == 1
    with pytest.raises(SystemExit) as ended:
        run("rules", "add", "deny", "--path", "a", "--user", "nobody")
    assert ended.value.code == 2
