"""A restore is planned before anything is written, and refused with what to do."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest

from handlers.apps.apps import AppSettings, add_app, set_app
from schema.wire import Json
from tests.integration.functions.conftest import Api, answer_json
from tests.integration.functions.http.test_job_requests import perform

__all__ = ["perform"]
PLAN = "/api/runs/restore-plan"
SEED = {"path": "/workspace/README.md", "content": "Hello"}
MANIFEST: Json = {
    "runtimeVersion": "0.1.0",
    "seedFiles": [SEED],
    "mountPoints": ["/workspace/cache"],
    "requiredPaths": ["/workspace/README.md", "/workspace/data.csv"],
}


def planned(api: Api, **body: object) -> dict[tuple[str, str], tuple[str, str, str]]:
    """Each entry's layer, action and reason, by its root and path."""
    answer = api.post(PLAN, body)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    told = answer_json(answer)
    assert told["ok"] is True
    assert "contents" not in told["plan"]
    return {
        (entry["root"], entry["path"]): (layer["layer"], entry["action"], entry["reason"])
        for layer in told["plan"]["layers"]
        for entry in layer["entries"]
    }


def refused(api: Api, **body: object) -> tuple[str, list[str]]:
    """Reason and paths."""
    answer = api.post(PLAN, body)
    assert answer.status_code == 422, answer.get_data(as_text=True)
    assert answer.mimetype == "application/problem+json"
    told = answer_json(answer)
    assert told["ok"] is False
    assert told["code"] == told["reason"]
    return told["reason"], told["paths"]


@pytest.mark.both_postgres
def test_what_is_there_stays_and_what_is_missing_is_made(api: Api) -> None:
    there = ["/workspace/data.csv"]
    assert planned(api, manifest=MANIFEST, existingPaths=there) == {
        ("workspace", "."): ("L0", "keep", "in_place"),
        ("agent", "."): ("L0", "keep", "in_place"),
        ("workspace", "README.md"): ("L1", "write", "seed"),
        ("workspace", "cache"): ("L4", "mkdir", "mount_point"),
    }


def test_all_five_layers_are_named(api: Api) -> None:
    layers = answer_json(api.post(PLAN, {"manifest": {}}))["plan"]["layers"]
    assert [(layer["layer"], layer["name"]) for layer in layers] == [
        ("L0", "base_image"),
        ("L1", "app_seed"),
        ("L2", "session_snapshot"),
        ("L3", "agent_data"),
        ("L4", "runtime_fixups"),
    ]


def test_the_conflict_policy_decides_between_session_and_seed(api: Api) -> None:
    manifest = {"seedFiles": [SEED]}
    at, there = ("workspace", "README.md"), ["/workspace/README.md"]
    assert planned(api, manifest=manifest, existingPaths=there)[at] == ("L1", "keep", "session_has_it")
    wins = planned(api, manifest=manifest, existingPaths=there, conflictPolicy="overwrite_with_seed")
    assert wins[at] == ("L1", "write", "seed_wins")
    assert refused(api, manifest=manifest, existingPaths=there, conflictPolicy="fail") == ("seed_conflict", there)
    protected = {**manifest, "protectedPaths": there}
    kept = planned(api, manifest=protected, existingPaths=there, conflictPolicy="overwrite_with_seed")
    assert kept[at] == ("L1", "keep", "protected")


def test_required_paths_that_would_be_missing_refuse(api: Api) -> None:
    assert refused(api, manifest=MANIFEST, existingPaths=[]) == ("required_paths_missing", ["/workspace/data.csv"])


def test_another_runtime_version_is_refused(api: Api) -> None:
    there = ["/workspace/data.csv"]
    reason, _ = refused(api, manifest=MANIFEST, existingPaths=there, runtimeVersion="9")
    assert reason == "runtime_version_mismatch"
    planned(api, manifest=MANIFEST, existingPaths=there, runtimeVersion="0.1.0")


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/workspace/../etc", "a", "/", "", "/workspaces/a", "/agent/a/../../b"]
)
def test_paths_outside_are_refused_wherever_they_stand(api: Api, path: str) -> None:
    for manifest in (
        {"requiredPaths": [path]},
        {"seedFiles": [{"path": path, "content": ""}]},
        {"mountPoints": [path]},
        {"cleanupRules": [path]},
        {"protectedPaths": [path]},
    ):
        assert refused(api, manifest=manifest) == ("path_outside_workspace", [path])
    assert refused(api, manifest={}, existingPaths=["/workspace/a", path]) == ("path_outside_workspace", [path])


def test_cleanup_deletes_whole_trees_and_leaves_what_is_protected(api: Api) -> None:
    manifest = {"cleanupRules": ["/workspace/tmp", "/workspace/**/*.pid"], "protectedPaths": ["/workspace/a/keep.pid"]}
    there = [f"/workspace/{path}" for path in ("tmp/a/b", "tmp/c", "a/x.pid", "a/keep.pid", "a/b.txt")]
    found = planned(api, manifest=manifest, existingPaths=there)
    assert {path: action for (_, path), (_, action, _) in found.items() if path != "."} == {
        "tmp": "delete",
        "a/x.pid": "delete",
        "a/keep.pid": "keep",
    }


def test_the_manifest_is_the_apps_unless_one_is_given(api: Api, conn: psycopg.Connection) -> None:
    with conn.transaction():
        app = add_app(conn, "review", "demo", AppSettings(manifest={"requiredPaths": ["/workspace/a"]}))
        set_app(conn, "default", settings=AppSettings(manifest={"requiredPaths": ["/workspace/b"]}))
    session = answer_json(api.post("/api/sessions", {}))["sessionId"]
    assert refused(api, appId=str(app.id)) == ("required_paths_missing", ["/workspace/a"])
    assert refused(api, sessionId=session) == ("required_paths_missing", ["/workspace/b"])
    assert refused(api, sessionId=session, appId=str(app.id)) == ("required_paths_missing", ["/workspace/a"])
    planned(api, sessionId=session, manifest={})


def test_without_a_manifest_to_go_by_it_is_refused(api: Api) -> None:
    answer = api.post(PLAN, {})
    assert (answer.status_code, answer_json(answer)["code"]) == (422, "no_manifest")
    assert answer_json(api.post(PLAN, {"manifest": {"seedFile": []}}))["code"] == "bad_manifest"


def test_a_session_of_somebody_else_is_not_there(api: Api, member: str) -> None:
    session = answer_json(api.post("/api/sessions", {}))["sessionId"]
    api.token = member
    for unknown in (session, str(uuid4())):
        assert api.post(PLAN, {"sessionId": unknown, "manifest": {}}).status_code == 404
    assert api.post(PLAN, {"manifest": {}}).status_code == 200


def test_a_worker_that_is_there_is_asked(api: Api, conn: psycopg.Connection, perform: object) -> None:
    session = answer_json(api.post("/api/sessions", {}))["sessionId"]
    conn.execute(
        "INSERT INTO session_workers (session_id, status, epoch, host, base_url) VALUES (%s, 'active', 1, 'a', 'b')",
        (session,),
    )
    outcome = {"ok": False, "reason": "required_paths_missing", "detail": "It lacks a.", "paths": ["/workspace/a"]}
    asked = perform(outcome)  # type: ignore[operator]
    assert refused(api, sessionId=session, manifest=MANIFEST) == ("required_paths_missing", ["/workspace/a"])
    ((kind, arguments),) = asked
    assert (kind, arguments["sessionId"], arguments["conflictPolicy"]) == ("plan_restore", session, "keep_session")
    planned(api, sessionId=session, manifest={}, existingPaths=[])  # what is there is said: nobody is asked
