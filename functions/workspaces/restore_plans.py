"""Plan a restore without writing: show the files that a session worker would get."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from functions.http.auth import actor, permission
from functions.http.job_requests import performed
from functions.http.schemas import answer
from functions.runtime.process import api_process
from handlers.workers.restore_dry_run import entries_at, read_plan_request
from handlers.workspaces.restore_plan import make_plan
from schema.errors import PathOutsideWorkspace, RequiredPathsMissing, RuntimeVersionMismatch, SeedConflict
from schema.job_requests import PlanRestore
from schema.restore_plan import ConflictPolicy, PlanOutcome, ShownPlan
from schema.wire import Json, Request, Text, Wire

REFUSALS = (RequiredPathsMissing, PathOutsideWorkspace, RuntimeVersionMismatch, SeedConflict)
restore_plans = APIBlueprint("restore_plans", __name__, tag="Saved workspaces")


class RestorePlanBody(Request):
    """The manifest is `manifest`, else the app's, else that of the session's app. `existingPaths` are absolute; a
    folder ends in a slash. Without them Runyard lists the session worker's files, or takes the newest snapshot's."""

    session_id: UUID | None = None
    app_id: UUID | None = None
    manifest: Json | None = None
    runtime_version: Text | None = Field(default=None, min_length=1, max_length=100)
    conflict_policy: ConflictPolicy = "keep_session"
    existing_paths: list[Text] | None = Field(default=None, max_length=10_000)


class RestorePlanAnswer(Wire):
    """Each root has an entry for `.`. A path follows its own entry, or else the nearest entry above it that keeps,
    restores or deletes."""

    ok: Literal[True] = True
    plan: ShownPlan


@restore_plans.post("/api/runs/restore-plan")
@permission("sessions:read")
@restore_plans.input(RestorePlanBody)
@restore_plans.output(RestorePlanAnswer)
def post_restore_plan(json_data: RestorePlanBody) -> Response:
    """Plan a restore without writing

    422 with `ok: false`, `reason` and `paths` for `required_paths_missing`, `path_outside_workspace`,
    `runtime_version_mismatch` and (conflict policy `fail`) `seed_conflict`. 503 `job_worker_unavailable`: the
    plan needs to read a worker or snapshot, and no job worker took the request.
    """
    body = json_data
    with api_process().transaction() as conn:
        requested = read_plan_request(
            conn, actor(), session_id=body.session_id, app_id=body.app_id, manifest=body.manifest
        )
    if requested.must_look and body.existing_paths is None and body.session_id is not None:
        plan = _looked_for(body, body.session_id, requested.manifest.stored())
        return answer(RestorePlanAnswer(plan=plan))
    made = make_plan(
        requested.manifest,
        runtime_version=body.runtime_version,
        snapshot=None,
        existing=entries_at(body.existing_paths or ()),
        conflict_policy=body.conflict_policy,
    )
    return answer(RestorePlanAnswer(plan=made.shown()))


def _looked_for(body: RestorePlanBody, session_id: UUID, manifest: Json) -> ShownPlan:
    """By the job worker, which reaches the session's worker and the object store."""
    request = PlanRestore(
        session_id=session_id,
        manifest=manifest,
        runtime_version=body.runtime_version,
        conflict_policy=body.conflict_policy,
    )
    done = performed(request, PlanOutcome, wait_seconds=0)
    if done.plan is not None:
        return done.plan
    refusal = next(known for known in REFUSALS if known.code == done.reason)
    raise refusal(done.detail, paths=done.paths)
