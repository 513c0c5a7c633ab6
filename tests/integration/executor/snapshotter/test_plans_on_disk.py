"""What a restore plan says is what the engine does on a real disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings

from executor.snapshotter.protocol import SnapshotterFailed
from handlers.workspaces.restore_plan import Snapshot, make_plan
from handlers.workspaces.tree import EntryKind, TreeEntry, entries_of
from schema.errors import WorkspaceRefused
from schema.restore_plan import ConflictPolicy, RestorePlan
from schema.runtime_manifest import RuntimeManifest, read_runtime_manifest
from schema.wire import Json
from tests.integration.executor.snapshotter.objects import Objects
from tests.integration.executor.snapshotter.session_disk import SessionDisk
from tests.unit.handlers.workers.worker_model import Disk, carry_out, disk_of
from tests.unit.handlers.workspaces.test_restore_plan_by_chance import NAMED, POLICIES, TREES, manifests

SEEDS: Json = {"seedFiles": [{"path": "/workspace/a/seed", "content": "of the app", "mode": "755"}]}


@pytest.fixture(scope="module")
def objects() -> Iterator[Objects]:
    served = Objects()
    yield served
    served.close()


@pytest.fixture
def session(objects: Objects, tmp_path: Path) -> SessionDisk:
    return SessionDisk(tmp_path / "first", objects)


def planned(session: SessionDisk, manifest: Json, *, policy: ConflictPolicy = "keep_session") -> RestorePlan:
    """For what was saved of the place, into one that nobody has looked into."""
    saved = None if session.head is None else Snapshot(session.head, entries_of(session.manifest()))
    return make_plan(
        read_runtime_manifest(manifest), runtime_version=None, snapshot=saved, existing=None, conflict_policy=policy
    )


def brought_back(
    session: SessionDisk, manifest: Json, *, policy: ConflictPolicy = "keep_session"
) -> tuple[SessionDisk, Json]:
    """A fresh place and the receipt."""
    fresh = session.another(uuid4().hex)
    return fresh, fresh.restore(session.head, planned(session, manifest, policy=policy).to_json()).receipt


def test_a_new_session_gets_its_seeds_and_mount_points(session: SessionDisk) -> None:
    fresh, receipt = brought_back(session, {**SEEDS, "mountPoints": ["/workspace/cache/pip"]})
    seed = fresh.workspace / "a/seed"
    assert (seed.read_text(), seed.stat().st_mode & 0o777) == ("of the app", 0o755)
    assert (fresh.workspace / "cache/pip").is_dir()
    assert {each["path"]: each["reason"] for each in receipt["reasons"] if each["path"] != "."} == {
        "a/seed": "seed",
        "cache/pip": "mount_point",
    }


def test_what_a_session_made_of_a_seed_stays(session: SessionDisk) -> None:
    (session.workspace / "a").mkdir()
    (session.workspace / "a/seed").write_text("of the session")
    session.save()
    assert (brought_back(session, SEEDS)[0].workspace / "a/seed").read_text() == "of the session"
    wins, _ = brought_back(session, SEEDS, policy="overwrite_with_seed")
    assert (wins.workspace / "a/seed").read_text() == "of the app"
    protected = {**SEEDS, "protectedPaths": ["/workspace/a"]}
    kept, _ = brought_back(session, protected, policy="overwrite_with_seed")
    assert (kept.workspace / "a/seed").read_text() == "of the session"


def test_a_seed_takes_no_place_of_what_nobody_knew_of(session: SessionDisk) -> None:
    fresh = session.another("used")
    (fresh.workspace / "a").mkdir()
    (fresh.workspace / "a/seed").write_text("somebody's")
    receipt = fresh.restore(None, planned(session, SEEDS).to_json()).receipt
    assert (fresh.workspace / "a/seed").read_text() == "somebody's"
    assert {"root": "workspace", "path": "a/seed", "action": "keep", "reason": "session_has_it"} in receipt["reasons"]


def test_no_seed_goes_through_a_link(session: SessionDisk, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (session.workspace / "a").symlink_to(outside)
    session.save()
    with pytest.raises(WorkspaceRefused) as refused:
        planned(session, SEEDS)
    assert (refused.value.problem_code, refused.value.paths) == ("path_outside_workspace", ["/workspace/a/seed"])
    fresh = session.another("linked")  # a link that nobody knew of
    (fresh.workspace / "a").symlink_to(outside)
    plan = make_plan(read_runtime_manifest(SEEDS), runtime_version=None, snapshot=None, existing=None)
    with pytest.raises(SnapshotterFailed):
        fresh.restore(None, plan.to_json())
    assert list(outside.iterdir()) == []


def test_a_mount_point_that_is_not_made_keeps_nothing_of_the_session_away(session: SessionDisk) -> None:
    (session.workspace / "a").write_text("of the session")
    session.save()
    fresh = session.another("used")
    (fresh.workspace / "a/deep").mkdir(parents=True)
    there = list(_on_disk(fresh).things.values())
    assert session.head is not None
    saved = Snapshot(session.head, entries_of(session.manifest()))
    manifest = read_runtime_manifest({"mountPoints": ["/workspace/a/b/c"]})
    plan = make_plan(manifest, runtime_version=None, snapshot=saved, existing=there)
    assert ("a/b/c", "in_the_way") in {(each.path, each.reason) for layer in plan.layers for each in layer.entries}
    fresh.restore(session.head, plan.to_json())
    assert (fresh.workspace / "a").read_text() == "of the session"


def test_cleanup_leaves_what_is_protected(session: SessionDisk) -> None:
    for path in ("tmp/a/b", "tmp/c", "a/x.pid", "a/keep.pid", "b.txt"):
        (session.workspace / path).parent.mkdir(parents=True, exist_ok=True)
        (session.workspace / path).write_text(path)
    session.save()
    fresh, _ = brought_back(
        session,
        {"cleanupRules": ["/workspace/tmp", "/workspace/**/*.pid"], "protectedPaths": ["/workspace/a/keep.pid"]},
    )
    left = {str(path.relative_to(fresh.workspace)) for path in fresh.workspace.rglob("*")}
    assert left == {"a", "a/keep.pid", "b.txt"}


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
    deadline=None,
    max_examples=40,
    phases=set(Phase) - {Phase.shrink},  # each takes files and a server
)
@given(manifest=manifests(), saved=TREES, there=TREES, policy=POLICIES)
def test_the_disk_holds_what_the_plan_says(
    objects: Objects, manifest: RuntimeManifest, saved: list[TreeEntry], there: list[TreeEntry], policy: ConflictPolicy
) -> None:
    _prove(objects, manifest, saved, there, policy)


@pytest.mark.parametrize("kind", ["file", "other"])
def test_a_seed_that_wins_over_a_saved_file_takes_the_place_of_a_folder_too(objects: Objects, kind: EntryKind) -> None:
    manifest = read_runtime_manifest({"seedFiles": [{"path": "/workspace/c", "content": "of the app"}]})
    saved, there = [TreeEntry("workspace", "c", "file")], [TreeEntry("workspace", "c/c/x", kind)]
    _prove(objects, manifest, saved, there, "overwrite_with_seed")


def _prove(
    objects: Objects, manifest: RuntimeManifest, saved: list[TreeEntry], there: list[TreeEntry], policy: ConflictPolicy
) -> None:
    with TemporaryDirectory() as folder:
        session = SessionDisk(Path(folder) / "first", objects, keep=NAMED, drop=())
        _make(session, disk_of(saved))
        session.save()
        fresh = session.another("fresh")
        _make(fresh, disk_of(there))
        snapshot = list(entries_of(session.manifest()))
        assert session.head is not None
        try:
            plan = make_plan(
                manifest,
                runtime_version=None,
                snapshot=Snapshot(session.head, snapshot),
                existing=list(_on_disk(fresh).things.values()),
                conflict_policy=policy,
            )
        except WorkspaceRefused:
            assume(False)
        model = Disk(_on_disk(fresh).things)
        carry_out(plan, model, snapshot)
        fresh.restore(session.head, plan.to_json())
        found = _on_disk(fresh)
        assert {path: thing.kind for path, thing in found.things.items()} == {
            path: thing.kind for path, thing in model.things.items()
        }
        assert {path: found.contents[path] for path in model.contents} == model.contents


def _make(session: SessionDisk, disk: Disk) -> None:
    for (root, path), thing in sorted(disk.things.items(), key=lambda each: each[0]):
        at = (session.workspace if root == "workspace" else session.home) / path
        if thing.kind == "folder":
            at.mkdir()
        elif thing.kind == "symlink":
            at.symlink_to(thing.target or "")
        else:
            at.write_text(path)


def _on_disk(session: SessionDisk) -> Disk:
    disk = Disk()
    for root, top in (("workspace", session.workspace), ("agent", session.home)):
        for at in top.rglob("*"):
            path = str(at.relative_to(top))
            kind = "symlink" if at.is_symlink() else "folder" if at.is_dir() else "file"
            target = str(at.readlink()) if at.is_symlink() else None
            disk.things[root, path] = TreeEntry(root, path, kind, target)  # type: ignore[index, arg-type]
            if kind == "file":
                disk.contents[root, path] = at.read_bytes()  # type: ignore[index]
    return disk
