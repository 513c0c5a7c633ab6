"""A person's decision becomes the option that says it, and never more than it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from acp.schema import FileEditToolCallContent, PermissionOption, ToolCallUpdate
from structlog.testing import CapturingLogger

from executor.agents.agent_folders import AgentFolders
from executor.agents.permissions import choose, fingerprint, permission_request
from executor.agents.tool_calls import KnownCall
from schema.events import LONGEST_OPTION_ID, LONGEST_OPTION_NAME, MOST_OPTIONS
from schema.executor_api import Answer

CLAUDE = [("allow-once", "allow_once"), ("allow-with-updates", "allow_always"), ("reject", "reject_once")]
CODEX = [("allow_once", "allow_once"), ("accept_execpolicy_amendment", "allow_always"), ("cancel", "reject_once")]
CODEX_BOTH = [("allow_once", "allow_once"), ("cancel", "reject_once"), ("decline", "reject_once")]
OPENCODE = [("once", "allow_once"), ("always", "allow_always"), ("reject", "reject_once")]
CWD = Path("/workspace")
FOLDERS = AgentFolders(CWD, Path("/agent"), CWD)


def options(pairs: list[tuple[str, str]]) -> list[PermissionOption]:
    return [PermissionOption.model_validate({"optionId": id_, "name": id_, "kind": kind}) for id_, kind in pairs]


def answer(decision: str, **fields: Any) -> Answer:
    return Answer.model_validate({"requestId": uuid4(), "decision": decision, **fields})


@pytest.mark.parametrize(
    "pairs, decision, expected",
    [
        (CLAUDE, "allow", "allow-once"),
        (CLAUDE, "allow_always", "allow-with-updates"),
        (CLAUDE, "deny", "reject"),
        (CODEX, "allow", "allow_once"),
        (CODEX, "allow_always", "accept_execpolicy_amendment"),
        (CODEX, "deny", "cancel"),
        (CODEX_BOTH, "deny", "decline"),
        (OPENCODE, "allow", "once"),
        (OPENCODE, "allow_always", "always"),
        (OPENCODE, "deny", "reject"),
        ([("yes", "allow_once"), ("never", "reject_always")], "deny", "never"),
        ([("yes", "allow_once")], "allow_always", "yes"),
        ([("yes", "allow_once")], "deny", None),
        (CLAUDE, "cancel", None),
    ],
)
def test_the_option_says_the_decision(pairs: list[tuple[str, str]], decision: str, expected: str | None) -> None:
    assert choose(answer(decision), options(pairs)).option_id == expected


def test_a_named_option_is_taken() -> None:
    assert choose(answer("deny", optionId="cancel"), options(CODEX_BOTH)).option_id == "cancel"


def test_an_unknown_option_falls_back_to_the_decision() -> None:
    assert choose(answer("deny", optionId="nonsense"), options(CLAUDE)).option_id == "reject"


def test_a_denial_that_names_an_allowing_option_stays_a_denial() -> None:
    assert choose(answer("deny", optionId="allow-once"), options(CLAUDE)).option_id == "reject"


def test_a_codex_denial_is_known_to_end_the_turn() -> None:
    assert choose(answer("deny"), options(CODEX)).denies_and_ends_the_turn
    assert not choose(answer("deny"), options(CODEX_BOTH)).denies_and_ends_the_turn


def test_the_fingerprint_depends_on_everything_that_matters() -> None:
    same = {"b": 1, "a": 2}
    first = fingerprint("edit", "Write", same, CWD)

    assert first == fingerprint("edit", "Write", {"a": 2, "b": 1}, CWD)
    others = [
        fingerprint("execute", "Write", same, CWD),
        fingerprint("edit", "Write more", same, CWD),
        fingerprint("edit", "Write", {"a": 3, "b": 1}, CWD),
        fingerprint("edit", "Write", same, Path("/elsewhere")),
    ]
    assert len({first, *others}) == 5


def test_an_edit_without_input_is_known_by_its_diffs() -> None:
    def ask(new_text: str) -> str:
        edit = FileEditToolCallContent(type="diff", path="/workspace/a", new_text=new_text)
        known = KnownCall(kind="edit", edits=[{"path": edit.path, "oldText": None, "newText": new_text}])
        call = ToolCallUpdate(tool_call_id="1", title="Edit files", kind="edit")
        return permission_request(call, options(CODEX), folders=FOLDERS, known=known).fingerprint

    assert ask("one") == ask("one") != ask("two")


def test_a_request_shows_what_was_said_of_the_call_before() -> None:
    known = KnownCall(kind="execute", title="ls", raw_input={"command": "ls"})

    request = permission_request(ToolCallUpdate(tool_call_id="1"), options(CLAUDE), folders=FOLDERS, known=known)

    assert request.title == "ls"
    shown = {"toolCallId": "1", "title": "ls", "kind": "execute", "input": {"command": "ls"}}
    assert request.tool_call == {**shown, "cwd": "/workspace", "relativeCwd": ".", "workspace": "/workspace"}
    assert [one.option_id for one in request.options or []] == [id_ for id_, _ in CLAUDE]


def offered(pairs: list[tuple[str, str]]) -> list[str]:
    request = permission_request(ToolCallUpdate(tool_call_id="1"), options(pairs), folders=FOLDERS, known=KnownCall())
    return [one.option_id for one in request.options or []]


def test_options_at_the_limit_are_all_offered_and_beyond_it_those_that_decide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = [(f"always{i}", "allow_always") for i in range(MOST_OPTIONS)]
    assert offered(many) == [id_ for id_, _ in many]

    log = CapturingLogger()
    monkeypatch.setattr("executor.agents.permissions._log", log)
    beyond = offered([*many, ("once", "allow_once"), ("cancel", "reject_once"), ("decline", "reject_once")])

    assert beyond == [*(id_ for id_, _ in many[: MOST_OPTIONS - 2]), "once", "decline"]
    assert [(call.method_name, call.kwargs) for call in log.calls] == [
        ("warning", {"given": MOST_OPTIONS + 3, "kept": MOST_OPTIONS})
    ]


def test_an_option_with_a_longer_id_than_a_person_can_choose_is_left_out_and_no_id_is_altered() -> None:
    long, longest = "i" * (LONGEST_OPTION_ID + 1), "i" * LONGEST_OPTION_ID
    pairs = [(long, "allow_once"), (longest, "allow_always"), ("no", "reject_once")]

    assert offered(pairs) == [longest, "no"]
    assert offered([(long, "allow_once")]) == []
    assert choose(answer("allow_always", optionId=longest), options(pairs)).option_id == longest
    assert choose(answer("allow"), options(pairs)).option_id == long, "a plain decision never means more than it says"


def test_a_long_name_is_shortened_for_the_person_and_the_question_is_asked() -> None:
    named = {"optionId": "yes", "name": "n" * 1_000_000, "kind": "allow_once"}
    option = PermissionOption.model_validate(named)
    request = permission_request(ToolCallUpdate(tool_call_id="1"), [option], folders=FOLDERS, known=KnownCall())

    assert [(one.option_id, one.name) for one in request.options or []] == [
        ("yes", "n" * (LONGEST_OPTION_NAME - 1) + "…")
    ]
    assert len(choose(answer("allow"), [option]).told) < 1200
