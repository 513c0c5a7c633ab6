"""Plans for large snapshots, links, and rules: what is said, and how much."""

from __future__ import annotations

import json
import re
from uuid import UUID

import pytest

from handlers.workspaces.restore_plan import Snapshot, make_plan
from handlers.workspaces.tree import LeadsOutside, Tree, TreeEntry, rule_pattern
from schema.errors import RequiredPathsMissing, WorkspaceRefused
from schema.restore_plan import Decisions
from schema.runtime_manifest import read_runtime_manifest
from schema.wire import Json

ID = UUID(int=7)


def test_a_plan_for_fifty_thousand_files_is_small_and_has_a_reason_for_each() -> None:
    files = [TreeEntry("workspace", f"node_modules/m{n // 100}/f{n}.js", "file") for n in range(50_000)]
    manifest = read_runtime_manifest(
        {
            "seedFiles": [{"path": "/workspace/node_modules/m3/f300.js", "content": "x"}],
            "cleanupRules": ["/workspace/node_modules/m4", "/workspace/**/f500.js"],
        }
    )
    plan = make_plan(manifest, runtime_version=None, snapshot=Snapshot(ID, files), existing=())
    assert len(json.dumps(plan.to_json())) < 2_000
    decisions = Decisions(plan)
    reasons = {found.path: decisions.of("workspace", found.path.encode()).reason for found in files}
    assert len(reasons) == 50_000
    assert reasons["node_modules/m3/f300.js"] == "session_has_it"
    assert reasons["node_modules/m4/f499.js"] == "cleanup_rule"
    assert reasons["node_modules/m5/f500.js"] == "cleanup_rule"
    assert reasons["node_modules/m5/f501.js"] == "session_snapshot"


def test_names_that_are_no_utf_8_are_decided_too() -> None:
    path = b"a\xff/b"
    found = [TreeEntry("workspace", path.decode(errors="surrogateescape"), "file")]
    manifest = read_runtime_manifest({"cleanupRules": ["/workspace/a?/b"]})
    plan = make_plan(manifest, runtime_version=None, snapshot=Snapshot(ID, found), existing=())
    json.dumps(plan.to_json()).encode()
    assert Decisions(plan).of("workspace", path).action == "delete"


@pytest.mark.parametrize(
    ("target", "outcome"),
    [
        ("there", True),
        ("/workspace/there", True),
        ("nowhere", False),
        ("link", False),  # a loop
        ("..", LeadsOutside),
        ("/etc", LeadsOutside),
        ("/agent/there", LeadsOutside),
        ("/workspaces/there", LeadsOutside),
        ("there/../../x", LeadsOutside),
    ],
)
def test_links_lead_where_the_system_follows_them(target: str, outcome: object) -> None:
    things = [TreeEntry("workspace", "link", "symlink", target), TreeEntry("workspace", "there/file", "file")]
    tree = Tree("workspace", things)
    if outcome is LeadsOutside:
        with pytest.raises(LeadsOutside):
            tree.has("link/file")
    else:
        assert tree.has("link/file") is outcome


@pytest.mark.parametrize(
    ("rule", "hit", "missed"),
    [
        ("tmp", ["tmp", "tmp/a/b"], ["tmpx", "a/tmp"]),
        ("*.log", ["a.log", ".log"], ["a/b.log", "a.logs"]),
        ("**/*.log", ["a.log", "a/b/c.log", "a.log/b"], ["a.logs"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b/z"], ["b", "a/x", "ab"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "ab"]),
        ("**/**/x*y?", ["xyz", "a/xayb"], ["xy", "a/xyz1"]),
        ("a.b", ["a.b"], ["axb"]),
        ("[ab]", ["[ab]"], ["a"]),
        ("**/a*b*c/d", ["a1b2c/d", "x/abc/d/e", "abc/x/abc/d"], ["abc", "acb/d"]),
    ],
)
def test_rules_name_paths_and_all_below(rule: str, hit: list[str], missed: list[str]) -> None:
    names = rule_pattern([rule]).fullmatch
    assert [path for path in hit if not names(path)] == []
    assert [path for path in missed if names(path)] == []


def test_no_rule_takes_long() -> None:
    hostile = rule_pattern(["/".join(["**", "a*a*a*a*a*b"] * 8)])
    assert hostile.fullmatch("/".join(["a" * 250] * 16)) is None  # would not end if it tried every way


def _refusal(manifest: Json, **more: object) -> WorkspaceRefused:
    with pytest.raises(WorkspaceRefused) as refused:
        make_plan(
            read_runtime_manifest(manifest),
            **{"runtime_version": None, "snapshot": None, "existing": (), **more},  # type: ignore[arg-type]
        )
    return refused.value


def test_a_refusal_names_all_paths_and_says_what_to_do() -> None:
    refusal = _refusal({"requiredPaths": [f"/agent/{n}" for n in range(9)]})
    assert isinstance(refusal, RequiredPathsMissing)
    assert refusal.paths == [f"/agent/{n}" for n in range(9)]
    assert re.search(r"/agent/4 and 4 more\. Have the app bring", refusal.detail)
    assert "0.1.0" in _refusal({"runtimeVersion": "2"}, runtime_version="0.1.0").detail


def test_where_nobody_has_looked_required_paths_are_left_to_be_looked_for() -> None:
    make_plan(
        read_runtime_manifest({"requiredPaths": ["/workspace/a"]}), runtime_version=None, snapshot=None, existing=None
    )
