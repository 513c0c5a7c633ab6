"""An app's runtime manifest, before each run and when a restore is planned, against real executors."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

from handlers.apps.apps import AppSettings, set_app
from handlers.job_requests import job_request, request_job
from jobs.context import TaskContext
from jobs.hosts.folder import SessionFolder
from jobs.perform_request import perform_request
from jobs.runs.execute import execute_run
from schema.job_requests import PlanRestore
from schema.sql import Conn
from schema.wire import Json
from tests.integration.jobs.conftest import Runs


def with_manifest(conn: Conn, **manifest: object) -> None:
    with conn.transaction():
        set_app(conn, "default", settings=AppSettings(manifest=manifest))


def workspace_of(context: TaskContext, session_id: UUID) -> Path:
    return SessionFolder(context.settings.runyard_data_dir / "workers" / str(session_id)).workspace


def test_a_run_whose_required_paths_are_missing_is_blocked_before_it_starts(
    context: TaskContext, runs: Runs, conn: Conn
) -> None:
    with_manifest(conn, requiredPaths=["/workspace/data.csv", "/agent/.config"])
    first = runs.start("say: hello")
    assert execute_run(context, first.id) == "ended"
    blocked = runs.row(first.id)
    assert (blocked.status, blocked.reason_code) == ("blocked", "required_paths_missing")
    assert "/workspace/data.csv" in (blocked.reason_message or "")
    assert "/agent/.config" not in (blocked.reason_message or "")
    assert "requiredPaths" in (blocked.reason_message or "")  # what to do
    assert "run.started" not in runs.types(first.id)

    (workspace_of(context, first.session_id) / "data.csv").write_text("a,b")
    second = runs.start("say: hello", session_id=first.session_id)
    assert execute_run(context, second.id) == "started"
    runs.wait_for(second.id, "succeeded")


def test_a_first_run_finds_what_the_app_brings(context: TaskContext, runs: Runs, conn: Conn) -> None:
    with_manifest(
        conn,
        runtimeVersion="0.1.0",
        seedFiles=[
            {"path": "/workspace/docs/README.md", "content": "of the app"},
            {"path": "/agent/.config/tool.json", "contentBase64": "e30=", "mode": "600"},
        ],
        mountPoints=["/workspace/cache"],
        requiredPaths=["/workspace/docs/README.md", "/agent/.config/tool.json"],
    )
    first = runs.start("say: hello")
    assert execute_run(context, first.id) == "started", runs.row(first.id)
    runs.wait_for(first.id, "succeeded")
    workspace = workspace_of(context, first.session_id)
    assert (workspace / "docs/README.md").read_text() == "of the app"
    assert (workspace / "cache").is_dir()

    (workspace / "docs/README.md").write_text("of the session")
    second = runs.start("say: hello", session_id=first.session_id)
    assert execute_run(context, second.id) == "started"
    runs.wait_for(second.id, "succeeded")
    assert (workspace / "docs/README.md").read_text() == "of the session"


def test_a_run_for_another_runtime_version_is_blocked(context: TaskContext, runs: Runs, conn: Conn) -> None:
    with_manifest(conn, runtimeVersion="9")
    run = runs.start("say: hello")
    assert execute_run(context, run.id) == "ended"
    blocked = runs.row(run.id)
    assert (blocked.status, blocked.reason_code) == ("blocked", "runtime_version_mismatch")
    assert "runtimeVersion" in (blocked.reason_message or "")


def test_a_required_path_behind_a_link_that_leads_out_blocks(context: TaskContext, runs: Runs, conn: Conn) -> None:
    first = runs.start("say: hello")
    execute_run(context, first.id)
    runs.wait_for(first.id, "succeeded")
    (workspace_of(context, first.session_id) / "out").symlink_to("/etc")
    with_manifest(conn, requiredPaths=["/workspace/out/passwd"])
    second = runs.start("say: hello", session_id=first.session_id)
    assert execute_run(context, second.id) == "ended"
    assert runs.row(second.id).reason_code == "path_outside_workspace"


def test_a_worker_that_is_there_is_looked_into_for_a_plan(context: TaskContext, runs: Runs, conn: Conn) -> None:
    run = runs.start("say: hello")
    execute_run(context, run.id)
    runs.wait_for(run.id, "succeeded")
    workspace = workspace_of(context, run.session_id)
    (workspace / "there").write_text("mine")
    manifest: Json = {
        "seedFiles": [{"path": "/workspace/there", "content": "theirs"}, {"path": "/workspace/new", "content": ""}],
        "requiredPaths": ["/workspace/there", "/workspace/new"],
    }
    plan = _planned(context, runs, conn, run.session_id, manifest)
    assert plan["ok"]
    entries = {entry["path"]: entry["reason"] for layer in plan["plan"]["layers"] for entry in layer["entries"]}
    assert entries == {".": "in_place", "there": "session_has_it", "new": "seed"}
    assert not (workspace / "new").exists()  # nothing was written

    (workspace / "there").unlink()
    missing = _planned(context, runs, conn, run.session_id, {"requiredPaths": ["/workspace/there"]})
    assert (missing["ok"], missing["reason"], missing["paths"]) == (
        False,
        "required_paths_missing",
        ["/workspace/there"],
    )
    (workspace / "out").symlink_to("/etc")
    outside = _planned(context, runs, conn, run.session_id, {"requiredPaths": ["/workspace/out/passwd"]})
    assert (outside["reason"], outside["paths"]) == ("path_outside_workspace", ["/workspace/out/passwd"])
    version = _planned(context, runs, conn, run.session_id, {"runtimeVersion": "9"})
    assert version["reason"] == "runtime_version_mismatch"


def _planned(context: TaskContext, runs: Runs, conn: Conn, session_id: UUID, manifest: Json) -> Json:
    with conn.transaction():
        job_request_id = request_job(conn, runs.actor, PlanRestore(session_id=session_id, manifest=manifest))
    perform_request(context, job_request_id)
    done = job_request(conn, job_request_id)
    assert done is not None
    assert done.error is None, done.error
    return done.result or {}


def test_without_a_worker_or_a_snapshot_nothing_is_in_place(context: TaskContext, runs: Runs, conn: Conn) -> None:
    assert _planned(context, runs, conn, uuid4(), {})["ok"]
    assert not _planned(context, runs, conn, uuid4(), {"requiredPaths": ["/workspace/a"]})["ok"]
