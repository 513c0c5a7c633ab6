"""Whatever is asked of it, a restore plan stays inside, keeps what is protected and what the session has, and delivers
what it promises. Carried out on a model (worker_model.py)."""

from __future__ import annotations

import base64
import re
from collections import Counter
from uuid import UUID

from hypothesis import example, given, note
from hypothesis import strategies as st

from handlers.workspaces.restore_plan import Snapshot, make_plan
from handlers.workspaces.tree import LeadsOutside, Tree, TreeEntry, rule_pattern
from schema.errors import Invalid, WorkspaceRefused
from schema.paths import ROOTS, TOP
from schema.restore_plan import ConflictPolicy, Decisions, RestorePlan
from schema.runtime_manifest import RuntimeManifest, read_runtime_manifest
from schema.wire import Json
from schema.workspace_api import Root
from tests.unit.handlers.workers.worker_model import carry_out, disk_of

NAMED = ("a", "b", "c", "x.pid", "base64:YQ==", "é", "a b")
NAMES = st.sampled_from(NAMED)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
ANY_ROOT: st.SearchStrategy[Root] = st.sampled_from(["workspace", "workspace", "agent"])
TARGETS = st.one_of(
    PATHS,
    st.sampled_from(["..", "../..", "/etc/passwd", "/workspace", "/workspace/a", "/agent/b", ".", "../a", "b/../.."]),
)
POLICIES: st.SearchStrategy[ConflictPolicy] = st.sampled_from(["keep_session", "overwrite_with_seed", "fail"])
SNAPSHOT = UUID(int=1)


@st.composite
def found(draw: st.DrawFn) -> TreeEntry:
    kind = draw(st.sampled_from(["file", "file", "folder", "symlink", "other"]))
    target = draw(TARGETS) if kind == "symlink" else None
    return TreeEntry(draw(ANY_ROOT), draw(PATHS), kind, target)  # type: ignore[arg-type]


TREES = st.lists(found(), max_size=12)


def placed() -> st.SearchStrategy[Json]:
    return st.builds(lambda root, path: {"root": root, "path": path}, ANY_ROOT, PATHS)


@st.composite
def manifests(draw: st.DrawFn) -> RuntimeManifest:
    rules = st.sampled_from(["a", "*", "**", "**/*.pid", "b/?", "a*", "c/**", "**/c", "a/**/b"])
    patterns = st.builds(
        lambda root, parts: {"root": root, "path": "/".join(parts)}, ANY_ROOT, st.lists(rules, min_size=1)
    )
    seeds = st.builds(lambda place, text: {**place, "content": text}, placed(), st.text("xyz", max_size=4))
    given: Json = {
        "seedFiles": draw(st.lists(seeds, max_size=4)),
        "mountPoints": draw(st.lists(placed(), max_size=2)),
        "cleanupRules": draw(st.lists(patterns, max_size=2)),
        "requiredPaths": draw(st.lists(placed(), max_size=2)),
        "protectedPaths": draw(st.lists(placed(), max_size=2)),
    }
    for key in ("seedFiles", "mountPoints", "cleanupRules"):
        try:
            return read_runtime_manifest(given)
        except Invalid:
            given = {**given, key: given[key][:1] if key == "seedFiles" else []}
    return read_runtime_manifest(given)


@given(manifests(), st.none() | TREES, TREES, POLICIES)
def test_a_plan_keeps_every_promise(
    manifest: RuntimeManifest, saved: list[TreeEntry] | None, existing: list[TreeEntry], policy: ConflictPolicy
) -> None:
    snapshot = None if saved is None else Snapshot(SNAPSHOT, saved)
    plan = _plan(manifest, snapshot, existing, policy)
    assert plan == _plan(manifest, snapshot, existing, policy)  # the same again
    if plan is None:
        return
    note(f"{plan.to_json()}\n{manifest}\n{saved}\n{existing}")
    assert max(Counter((entry.root, entry.path) for entry in plan.entries()).values()) == 1
    before = disk_of(existing)
    disk = disk_of(existing)
    carry_out(plan, disk, saved or [])
    session = (before if saved is None else disk_of(saved)).things

    for (root, path), action in disk.touched:
        if action != "mkdir":
            assert not any(
                _is_at_or_below(path, each.path) or (action == "write" and _is_at_or_below(each.path, path))
                for each in manifest.protected_paths
                if each.root == root
            ), "protected"
    rules = {root: rule_pattern([rule.path for rule in manifest.cleanup_rules if rule.root == root]) for root in ROOTS}
    for (root, path), thing in session.items():
        if rules[root].fullmatch(path):
            continue
        if policy == "keep_session":
            assert disk.things.get((root, path)) == thing, f"{path} of the session is lost"
        assert disk.things[root, path].kind == thing.kind or policy == "overwrite_with_seed"
    for required in manifest.required_paths:
        tree = Tree(required.root, [each for (root, _), each in disk.things.items() if root == required.root])
        assert tree.has(required.path)


def _plan(
    manifest: RuntimeManifest, snapshot: Snapshot | None, existing: list[TreeEntry], policy: ConflictPolicy
) -> RestorePlan | None:
    """None when it is refused, with paths and what to do."""
    try:
        return make_plan(manifest, runtime_version=None, snapshot=snapshot, existing=existing, conflict_policy=policy)
    except WorkspaceRefused as error:
        refusal = error
    assert (refusal.members["ok"], refusal.members["reason"]) == (False, refusal.problem_code)
    assert refusal.members["paths"]
    assert re.search(r"(Have|Replace|Use) ", refusal.detail)
    return None


def _is_at_or_below(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")


@given(manifests(), TREES)
def test_each_path_has_one_reason(manifest: RuntimeManifest, saved: list[TreeEntry]) -> None:
    plan = _plan(manifest, Snapshot(SNAPSHOT, saved), [], "keep_session")
    if plan is None:
        return
    decisions = Decisions(plan)
    for root, path in [*disk_of(saved).things, ("workspace", TOP), ("agent", TOP)]:
        assert decisions.of(root, path.encode()).reason


KEYS = ("seedFiles", "mountPoints", "cleanupRules", "requiredPaths", "protectedPaths", "ignore", "runtimeVersion")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.text() | st.integers() | st.sampled_from(["workspace", "/workspace/a", "644"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["root", "path", "content", "mode"]), inner),
)


@example("seedFiles", [{"path": "", "root": []}])  # a root that no set can be asked for
@given(st.sampled_from(KEYS), ANYTHING)
def test_whatever_is_given_as_a_manifest_is_read_or_refused(key: str, given: object) -> None:
    try:
        manifest = read_runtime_manifest({key: given})
    except Invalid:
        return
    assert read_runtime_manifest(manifest.to_json()) == manifest


@example("/./workspace")
@given(st.lists(st.sampled_from(["..", ".", "", "workspace", "agent", "a", "\x00", "..."]), max_size=6).map("/".join))
def test_no_path_leaves_its_root(path: str) -> None:
    try:
        manifest = read_runtime_manifest({"requiredPaths": [path]})
    except Invalid:
        return
    (kept,) = manifest.required_paths
    assert path.startswith("/")
    assert next(part for part in path.split("/") if part not in ("", ".")) == kept.root
    assert kept.path == TOP or not {"..", ".", ""} & set(kept.path.split("/"))
    assert base64.b64encode(kept.path.encode())


@given(PATHS, st.lists(found(), max_size=10))
def test_links_are_followed_as_the_system_does_it(path: str, things: list[TreeEntry]) -> None:
    """Or at least: to an end, and never out of the root unnoticed."""
    tree = Tree("workspace", things)
    try:
        assert tree.has(path) in {True, False}
    except LeadsOutside:
        assert any(thing.kind == "symlink" for thing in things)
