"""File policies by chance, against a plain reading of their rules that shares no code with them."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.files.policies import FileDenied, FilePolicy, FileReader, PathRules, deciding_policy
from handlers.files.policy_changes import read_pattern
from schema.errors import Invalid
from schema.snapshot_manifest import path_text
from schema.workspace_api import Root

ids = st.sampled_from([UUID(int=1), UUID(int=2)])
names = st.sampled_from(["a", "b", "ab", ".env", "ä", "~", "*", "a*", "?", "**"])
patterns = st.lists(names, min_size=1, max_size=3).map("/".join)
paths = st.lists(st.sampled_from(["a", "b", "ab", "aab", ".env", "ä", "~", "new\nline"]), min_size=1, max_size=4).map(
    "/".join
)
roots: st.SearchStrategy[Root] = st.sampled_from(["workspace", "agent"])
readers = st.builds(FileReader, user_id=ids, role=st.sampled_from(["admin", "operator", "member"]), app_id=ids)
policies = st.builds(
    FilePolicy,
    id=st.uuids(),
    effect=st.sampled_from(["allow", "deny"]),
    pattern=patterns,
    root=st.none() | roots,
    app_id=st.none() | ids,
    role=st.none() | st.sampled_from(["admin", "operator", "member"]),
    user_id=st.none() | ids,
    reason=st.none(),
    created_at=st.just(datetime(2026, 1, 1, tzinfo=UTC)),
)
some_policies = st.lists(policies, max_size=8)
READER = FileReader(user_id=UUID(int=1), role="member", app_id=UUID(int=1))
EVERYONE = FilePolicy(
    UUID(int=9), "deny", "secrets", None, None, None, None, "ask Ada", datetime(2026, 1, 1, tzinfo=UTC)
)


def name_matches(name: str, pattern: str) -> bool:
    """Letter by letter."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(name_matches(name[skipped:], pattern[1:]) for skipped in range(len(name) + 1))
    return bool(name) and pattern[0] in ("?", name[0]) and name_matches(name[1:], pattern[1:])


def names_match(path: list[str], pattern: list[str]) -> bool:
    """Name by name; a pattern that ends early covers what is below."""
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(names_match(path[skipped:], pattern[1:]) for skipped in range(len(path) + 1))
    return bool(path) and name_matches(path[0], pattern[0]) and names_match(path[1:], pattern[1:])


def expected(given_policies: list[FilePolicy], reader: FileReader, root: Root, path: str) -> str:
    """Return the effect: the policies that concern the path, sorted step by step from the least specific one."""
    found = [
        policy
        for policy in given_policies
        if (policy.root is None or policy.root == root)
        and (policy.app_id is None or policy.app_id == reader.app_id)
        and (policy.role is None or policy.role == reader.role)
        and (policy.user_id is None or policy.user_id == reader.user_id)
        and names_match(path.split("/"), policy.pattern.split("/"))
    ]
    if not found:
        return "allow"
    for is_specific in (
        lambda policy: policy.effect == "deny",
        lambda policy: -policy.pattern.split("/").count("**"),
        lambda policy: len(policy.pattern.replace("*", "").replace("?", "")),
        lambda policy: policy.root is not None,
        lambda policy: policy.app_id is not None,
        lambda policy: policy.role is not None,
        lambda policy: policy.user_id is not None,
    ):
        found.sort(key=is_specific)  # stable, so that the last one counts most
    return found[-1].effect


@given(some_policies, readers, roots, paths)
def test_the_most_specific_policy_decides(
    given_policies: list[FilePolicy], reader: FileReader, root: Root, path: str
) -> None:
    deciding = deciding_policy(given_policies, reader, root, path)
    assert (deciding.effect if deciding else "allow") == expected(given_policies, reader, root, path)


@given(some_policies, readers, roots, paths, st.randoms(use_true_random=False))
def test_the_order_of_policies_means_nothing(
    given_policies: list[FilePolicy], reader: FileReader, root: Root, path: str, chance: random.Random
) -> None:
    shuffled = chance.sample(given_policies, len(given_policies))
    rules = [PathRules(each, reader, root) for each in (given_policies, shuffled)]
    assert rules[0].allows(path) == rules[1].allows(path)


@given(policies, readers, roots, paths)
def test_deny_wins_a_tie(policy: FilePolicy, reader: FileReader, root: Root, path: str) -> None:
    tied = [replace(policy, effect="allow"), replace(policy, effect="deny")]
    deciding = deciding_policy(tied, reader, root, path)
    assert deciding is None or deciding.effect == "deny"


@given(some_policies, readers, roots, paths, paths)
def test_what_is_below_a_denied_path_is_denied_unless_an_exception_says_so(
    given_policies: list[FilePolicy], reader: FileReader, root: Root, path: str, below: str
) -> None:
    denials = [policy for policy in given_policies if policy.effect == "deny"]
    rules = PathRules(denials, reader, root)
    if not rules.allows(path):
        assert not rules.allows(f"{path}/{below}")
        assert not rules.shows(f"{path}/{below}")


@given(some_policies, readers, roots, paths)
def test_folders_lead_to_each_path_that_a_plain_exception_allows(
    given_policies: list[FilePolicy], reader: FileReader, root: Root, path: str
) -> None:
    exception = replace(
        EVERYONE,
        effect="allow",
        pattern=path,
        root=root,
        app_id=reader.app_id,
        role=reader.role,
        user_id=reader.user_id,
    )
    denials = [policy for policy in given_policies if policy.effect == "deny" and policy.user_id is None]
    rules = PathRules([*denials, exception], reader, root)
    parts = path.split("/")
    assert rules.allows(path)
    assert all(rules.shows("/".join(parts[:length])) for length in range(1, len(parts)))


def test_names_that_are_not_utf8_do_not_escape_a_policy() -> None:
    rules = PathRules([EVERYONE], READER, "workspace")
    for path in (b"secrets/\xff", b"secrets/\xff/deep", b"secrets/a\nb", b"secrets/base64:x", b"secrets"):
        assert not rules.allows(path_text(path))
    assert rules.allows(path_text(b"secrets\xff"))
    assert rules.allows(path_text(b"base64:secrets"))


def test_a_refusal_tells_the_policys_reason() -> None:
    rules = PathRules([EVERYONE], READER, "agent")
    with pytest.raises(FileDenied, match="ask Ada"):
        rules.require("secrets/key")
    rules.require("")


@pytest.mark.parametrize("pattern", ["", "/", "a//b", "../a", "a/..", "./a", "a**", "**b/c"])
def test_patterns_that_cannot_match_are_refused(pattern: str) -> None:
    with pytest.raises(Invalid):
        read_pattern(pattern)


def test_slashes_around_a_pattern_mean_nothing() -> None:
    assert read_pattern("/a/b/") == "a/b"


def test_hundreds_of_policies_decide_as_each_by_itself() -> None:
    chance = random.Random(3)
    words = ["a", "b", "ab", ".env", "*", "a*", "?", "**", *map(str, range(40))]

    def policy(number: int) -> FilePolicy:
        pattern = "/".join(chance.choices(words, k=chance.randint(1, 3)))
        effect = chance.choice(["allow", "deny"])
        return replace(EVERYONE, id=UUID(int=number), pattern=pattern, effect=effect)  # type: ignore[arg-type]

    many = [policy(number) for number in range(300)]
    few_match = [each for each in many if not {"*", "**", "?", "a*"} & set(each.pattern.split("/"))]
    paths_to_try = ["/".join(chance.choices(["a", "b", ".env", "7", "12", "other"], k=3)) for _ in range(200)]
    for policies_to_try in (many, few_match):
        rules = PathRules(policies_to_try, READER, "workspace")
        for path in paths_to_try:
            effect = "allow" if rules.allows(path) else "deny"
            assert effect == expected(policies_to_try, READER, "workspace", path), path


def test_patterns_that_are_too_large_for_one_program_are_tried_one_by_one() -> None:
    wide = [replace(EVERYONE, id=UUID(int=n), pattern="/".join(["?" * 180, "**"] * 10) + f"/{n}") for n in range(40)]
    rules = PathRules([*wide, EVERYONE], READER, "workspace")
    path = "/".join(["x" * 180] * 10)
    assert [rules.allows(name) for name in (f"{path}/39", f"{path}/40", "secrets/a", "other")] == [
        False,
        True,
        False,
        True,
    ]
