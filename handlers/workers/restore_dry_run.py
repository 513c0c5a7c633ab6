"""Read a request for a restore plan: the manifest, and whether the plan needs the worker's or snapshot's files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from pydantic_core import PydanticCustomError

from handlers.access.permissions import Actor, session_for
from handlers.apps.apps import app_by_id
from handlers.workers.rows import worker_of
from handlers.workspaces.tree import TreeEntry
from schema.errors import Invalid, PathOutsideWorkspace
from schema.paths import OUTSIDE, TOP, located
from schema.runtime_manifest import RuntimeManifest, read_runtime_manifest
from schema.sql import Conn
from schema.wire import Json


@dataclass(frozen=True)
class PlanRequest:
    """`must_look`: the session has a worker or a snapshot, which only the job worker can read."""

    manifest: RuntimeManifest
    must_look: bool


def read_plan_request(
    conn: Conn, actor: Actor, *, session_id: UUID | None, app_id: UUID | None, manifest: Json | None
) -> PlanRequest:
    """Choose the manifest: the given one, else the named app's, else the session's app's.

    Raises NotFound, Invalid, PathOutsideWorkspace.
    """
    session = None if session_id is None else session_for(conn, actor, session_id)
    worker = None if session is None else worker_of(conn, session.id)
    must_look = worker is not None and (worker.status == "active" or worker.head_snapshot is not None)
    if manifest is not None:
        return PlanRequest(read_runtime_manifest(manifest), must_look)
    wanted = app_id or (None if session is None else session.app_id)
    if wanted is None:
        raise Invalid("Name a session or an app, or give a manifest.", code="no_manifest")
    return PlanRequest(read_runtime_manifest(app_by_id(conn, wanted).manifest), must_look)


def entries_at(paths: Sequence[str]) -> list[TreeEntry]:
    """Return entries of unknown kind for a caller's absolute paths. Raises PathOutsideWorkspace with the bad paths."""
    entries: list[TreeEntry] = []
    outside: list[str] = []
    for path in paths:
        try:
            root, below = located(path)
        except PydanticCustomError as error:
            if error.type != OUTSIDE:
                raise Invalid(f"existingPaths: {error.message()}") from None
            outside.append(path)
            continue
        if below != TOP:
            entries.append(TreeEntry(root, below, "folder" if path.endswith("/") else "other"))
    if outside:
        raise PathOutsideWorkspace(f"existingPaths: {outside[0]} is not below /workspace or /agent.", paths=outside)
    return entries
