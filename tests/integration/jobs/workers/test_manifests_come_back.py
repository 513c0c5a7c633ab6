"""A worker that was removed comes back by its app's manifest and its session's snapshot, as the plan had said."""

from __future__ import annotations

from uuid import UUID

from handlers.apps.apps import AppSettings, set_app
from jobs.workers.retirement import remove_worker
from jobs.workspaces.plan_restore import plan_restore
from schema.job_requests import PlanRestore
from schema.wire import Json
from tests.integration.jobs.workers.conftest import Session

MANIFEST: Json = {
    "seedFiles": [{"path": f"/workspace/{name}", "content": "of the app"} for name in ("changed", "deleted")],
    "cleanupRules": ["/workspace/**/*.pid"],
    "mountPoints": ["/workspace/cache"],
    "requiredPaths": ["/workspace/changed", "/workspace/deleted"],
}


def _planned(session: Session, manifest: Json) -> dict[str, str] | tuple[str | None, list[str]]:
    """Each entry's reason by its path, or why there is no plan."""
    done = plan_restore(session.context, PlanRestore(session_id=session.session_id, manifest=manifest))
    if done.plan is None:
        return done.reason, done.paths
    assert done.plan.snapshot_id == session.worker.head_snapshot
    assert isinstance(done.plan.snapshot_id, UUID)
    return {entry.path: entry.reason for entry in done.plan.entries() if entry.path != "."}


def test_a_removed_worker_comes_back_as_its_plan_says(session: Session) -> None:
    with session.runs.conn.transaction():
        set_app(session.runs.conn, "default", settings=AppSettings(manifest=MANIFEST))
    session.say("say: hello")
    workspace = session.folder.workspace
    assert (workspace / "changed").read_text() == "of the app"
    (workspace / "changed").write_text("of the session")
    (workspace / "deleted").unlink()
    (workspace / "own").write_text("own")
    (workspace / "old.pid").write_text("1")
    (workspace / "cache/big").write_text("made again by anybody")
    session.at_rest()
    remove_worker(session.context, session.session_id)
    assert session.status == "absent"

    assert _planned(session, MANIFEST) == {
        "changed": "session_has_it",
        "deleted": "seed",
        "old.pid": "cleanup_rule",
        "cache": "mount_point",
    }
    assert _planned(session, {"requiredPaths": ["/workspace/own", "/workspace/gone"]}) == (
        "required_paths_missing",
        ["/workspace/gone"],
    )

    session.say("say: again")
    assert {path.name: path.read_text() for path in workspace.iterdir() if path.is_file()} == {
        "changed": "of the session",
        "deleted": "of the app",
        "own": "own",
    }
    assert list((workspace / "cache").iterdir()) == []
