"""Suggested rules cover the very call that an agent asks about, and the narrowest comes first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.access.permissions import Actor
from handlers.human_loop.pending import ShownRequest
from handlers.human_loop.rule_matching import covers
from handlers.human_loop.suggested_rules import suggested_rules
from handlers.human_loop.tool_call import read_call
from schema.rows import Role
from schema.wire import Json
from tests.thoroughness import chances

Kind = Literal["permission", "question"]
OWNER, OTHER = UUID(int=1), UUID(int=2)


def actor(user_id: UUID = OWNER, role: Role = "member") -> Actor:
    return Actor(user_id=user_id, name="mia", role=role)


def request(tool_call: Json | None, *, kind: Kind = "permission") -> ShownRequest:
    return ShownRequest(
        id=UUID(int=3),
        session_id=UUID(int=4),
        run_id=UUID(int=5),
        attempt=1,
        kind=kind,
        status="open",
        title="May I?",
        fingerprint="f",
        tool_call=tool_call,
        options=None,
        answer_schema=None,
        requested_at=datetime.now(UTC),
        expires_at=None,
        on_expiry="wait",
        answer=None,
        decided_by=None,
        decided_at=None,
        outcome_told=None,
        settled_at=None,
        expiry_seconds=None,
        then_on_expiry="wait",
        escalate_to=None,
        escalated_at=None,
        carried_to=None,
        replaces=None,
        owner_id=OWNER,
        session_title="t",
        run_status="waiting",
    )


def patterns(tool_call: Json) -> list[tuple[str | None, str | None, str | None]]:
    rules = suggested_rules(actor(), request(tool_call))
    return [(rule.tool_kind, rule.path_pattern, rule.command_pattern) for rule in rules]


def test_a_command_is_suggested_whole_then_by_its_beginnings() -> None:
    assert patterns({"kind": "execute", "input": {"command": "git commit -m x"}}) == [
        ("execute", None, "git commit -m x"),
        ("execute", None, "git commit *"),
        ("execute", None, "git *"),
        ("execute", None, None),
    ]


def test_a_command_with_an_operator_is_only_suggested_as_it_is_or_as_its_kind() -> None:
    found = patterns({"kind": "execute", "input": {"command": "ls && rm -r /"}})
    assert found == [("execute", None, "ls && rm -r /"), ("execute", None, None)]


def test_a_file_is_suggested_then_its_folders() -> None:
    call = {"kind": "edit", "input": {"path": "/workspace/src/app/main.py"}}
    assert [pattern for _, pattern, _ in patterns(call)] == ["src/app/main.py", "src/app/**", "src/**", "**", None]


def test_a_file_outside_is_not_suggested_as_everything_in_the_workspace() -> None:
    call = {"kind": "read", "input": {"path": "/etc/hosts"}}
    assert [pattern for _, pattern, _ in patterns(call)] == ["/etc/hosts", "/etc/**", None]


@pytest.mark.parametrize(
    ("asked_by", "kind"), [(actor(OTHER), "permission"), (actor(), "question")], ids=["another", "question"]
)
def test_no_rule_is_suggested_to_who_may_not_write_it_or_for_a_question(asked_by: Actor, kind: Kind) -> None:
    call = {"kind": "edit", "input": {"path": "a.md"}}
    assert suggested_rules(asked_by, request(call, kind=kind)) == []


@chances(80, 2000)
@given(
    kind=st.sampled_from(["read", "edit", "execute", "fetch", "strange", None]),
    given_input=st.dictionaries(
        st.sampled_from(["command", "path", "paths", "url"]),
        st.one_of(st.text(max_size=30), st.lists(st.sampled_from(["/workspace/a/b", "c", "~/d", "/e"]), max_size=3)),
    ),
)
def test_every_suggested_rule_covers_the_call(kind: str | None, given_input: Json) -> None:
    tool_call = {"kind": kind, "input": given_input}
    for rule in suggested_rules(actor(), request(tool_call)):
        assert covers(rule, read_call(tool_call))
