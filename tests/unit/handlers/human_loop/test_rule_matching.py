"""Rules decide what they say and nothing else: deny before ask before allow, and what is uncertain is asked."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.human_loop.rule_matching import deciding_rule
from handlers.human_loop.shell_script import parse_script
from handlers.human_loop.shell_wrappers import seen_through
from handlers.human_loop.tool_call import MatchedCall, read_call
from schema.approval_rules import ApprovalRuleRow, Effect
from schema.wire import Json
from tests.thoroughness import by_chance, chances


def rule(
    effect: Effect, *, kind: str | None = None, path: str | None = None, command: str | None = None
) -> ApprovalRuleRow:
    return ApprovalRuleRow(
        id=UUID(int=1),
        version=1,
        app_id=None,
        user_id=None,
        effect=effect,
        tool_kind=kind,
        path_pattern=path,
        command_pattern=command,
        note=None,
        created_by=None,
        created_at=datetime.now(UTC),
        retired_at=None,
    )


def decided(call: Json, *rules: ApprovalRuleRow) -> str | None:
    """`allow`, `deny`, or None: a person is asked."""
    found = deciding_rule(rules, read_call(call))
    return None if found is None else found.effect


def run(command: str, **more: object) -> Json:
    return {"kind": "execute", "input": {"command": command, **more}}


def edit(*paths: str) -> Json:
    return {"kind": "edit", "locations": [{"path": path} for path in paths]}


ALLOW_GIT = rule("allow", command="git *")
ALLOW_SRC = rule("allow", path="src/**")


@pytest.mark.parametrize(
    "command",
    [
        *(
            "git status; rm -rf .",
            "git status && rm x",
            "git status | sh",
            "git log `id`",
            "git log $(id)",
            "git log >x",
        ),
        *("git log <x", "git status\nrm x", "git log ${x@P}", "git status & rm x", "git log <(id)"),
    ],
)
def test_a_pattern_allows_no_command_with_an_operator_of_a_shell(command: str) -> None:
    assert decided(run(command), ALLOW_GIT) is None
    assert decided(run(command), rule("allow", command=command)) == "allow"


@pytest.mark.parametrize(
    ("call", "rules", "outcome"),
    [
        (run("git status"), [ALLOW_GIT], "allow"),
        (run("gitk status"), [ALLOW_GIT], None),
        (run("git push"), [ALLOW_GIT, rule("deny", command="git push*")], "deny"),
        (run("git push"), [ALLOW_GIT, rule("ask", command="git push*")], None),
        (run("cd a && git push"), [rule("deny", command="git push*")], "deny"),
        (run("git status"), [rule("allow")], "allow"),
        (run("git status"), [rule("allow", kind="edit")], None),
        (run("git status", additionalPermissions={"network": True}), [ALLOW_GIT], None),
        (run("cat src/a"), [ALLOW_SRC], None),
        ({**run("cat src/a"), "locations": [{"path": "src/a"}]}, [ALLOW_SRC], None),
        (run("cat secrets/key"), [rule("allow"), rule("deny", path="secrets/**")], None),
        (run("cat public"), [rule("allow"), rule("deny", path="secrets/**")], "allow"),
        (edit("src/a", "src/b/c"), [ALLOW_SRC], "allow"),
        (edit("src/a", "docs/b"), [ALLOW_SRC], None),
        (edit("src/../docs/b"), [ALLOW_SRC], None),
        (edit("/etc/passwd"), [rule("allow", path="**")], None),
        (edit("/etc/passwd"), [rule("deny", path="/etc/**")], "deny"),
        (edit(), [ALLOW_SRC], None),
        (edit("src/a"), [rule("allow", path="src/*")], "allow"),
        (edit("src/b/a"), [rule("allow", path="src/*")], None),
        (edit("src/a", "docs/b"), [rule("deny", path="docs"), ALLOW_SRC], "deny"),
        (edit("docs/b"), [rule("deny", path="docs", command="rm *")], None),
        (edit("src/a"), [rule("ask", path="src/**"), rule("allow")], None),
        ({"kind": "other", "input": {"path": "src/a"}}, [ALLOW_SRC], None),
        ({"kind": "other", "input": {"path": "src/a"}}, [rule("allow", kind="other", path="src/**")], "allow"),
        ({"title": "of no kind", "input": {}}, [rule("allow"), rule("deny", kind="execute")], None),
        ({"kind": "execute", "title": "rm -rf ."}, [rule("allow"), rule("deny", command="rm *")], None),
        ({"kind": "execute", "title": "rm -rf ."}, [rule("allow"), rule("deny", kind="edit", path="a")], "allow"),
        (run("git status"), [], None),
    ],
)
def test_each_call_gets_the_verdict_of_its_rules(call: Json, rules: list[ApprovalRuleRow], outcome: str | None) -> None:
    assert decided(call, *rules) == outcome


KINDS = st.sampled_from([None, "edit", "execute", "other"])
PATHS = st.sampled_from(["src/a", "src/b/c", "docs/x", "/etc/passwd", "."])
COMMANDS = st.sampled_from(["git status", "git push", "rm x", "git status; rm x", "cat docs/x"])
RULES = st.builds(
    rule,
    st.sampled_from(["allow", "ask", "deny"]),
    kind=KINDS,
    path=st.sampled_from([None, "src/**", "**", "docs", "/etc/**", "*"]),
    command=st.sampled_from([None, "git *", "*", "rm *", "git status; rm x"]),
)
CALLS = st.builds(
    lambda kind, command, paths, whole: MatchedCall(
        kind=kind,
        command=command,
        paths=frozenset(paths),
        mentions=frozenset((command or "").split()),
        is_whole=whole,
        is_only_command=command is not None,
        script=parse_script(command or ""),
        runs=seen_through(parse_script(command or "")),
    ),
    KINDS,
    st.none() | COMMANDS,
    st.lists(PATHS, max_size=3),
    st.booleans(),
)


@by_chance
@chances(500, 20_000)
@given(CALLS, st.lists(RULES, max_size=4), RULES)
def test_a_further_rule_never_loosens_what_was_denied_and_only_allow_rules_loosen(
    call: MatchedCall, rules: list[ApprovalRuleRow], more: ApprovalRuleRow
) -> None:
    strictness = {"deny": 2, None: 1, "allow": 0}
    before, after = (deciding_rule(some, call) for some in (rules, [*rules, more]))
    was, now = (strictness[found.effect if found else None] for found in (before, after))
    assert now >= was if more.effect != "allow" or was == 2 else now <= was


@by_chance
@chances(500, 20_000)
@given(CALLS, st.lists(RULES, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_rules_decides_nothing(call: MatchedCall, rules: list[ApprovalRuleRow], chance: object) -> None:
    shuffled = list(rules)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = (deciding_rule(some, call) for some in (rules, shuffled))
    assert (first and first.effect) == (second and second.effect)


@by_chance
@chances(500, 20_000)
@given(CALLS, st.sampled_from(["src/**", "**", "*"]))
def test_what_paths_allow_touches_no_other_path_and_runs_nothing(call: MatchedCall, path: str) -> None:
    if deciding_rule([rule("allow", path=path)], call) is not None:
        assert call.paths
        assert not any(each.startswith("/") for each in call.paths)
        assert call.command is None
        assert call.is_whole
