"""Validate a workspace against the app's manifest before a run, by asking its executor."""

from __future__ import annotations

from collections.abc import Sequence

from handlers.workspaces.restore_plan import mismatch_detail, missing_detail
from jobs.context import TaskContext
from jobs.runtime.executor_client import Endpoint, ExecutorError
from jobs.runtime.trace import Trace
from schema.errors import PathOutsideWorkspace, RequiredPathsMissing, RuntimeVersionMismatch
from schema.executor_api import ValidateWorkspace, WorkspaceFound
from schema.paths import OUTSIDE
from schema.runtime_manifest import RuntimeManifest


def require_whole(context: TaskContext, endpoint: Endpoint, manifest: RuntimeManifest, trace: Trace) -> None:
    """Check the required paths and the runtime version. Do not call the executor when the manifest requires none.

    Raise RuntimeVersionMismatch, RequiredPathsMissing or PathOutsideWorkspace, each with its paths and its fix; and
    ExecutorError.
    """
    required = [path.absolute for path in manifest.required_paths]
    if not required and manifest.runtime_version is None:
        return
    look = look_for(context, endpoint, required, trace)
    version = str(look.found.get("runtimeVersion"))
    if manifest.runtime_version not in (None, version):
        raise RuntimeVersionMismatch(mismatch_detail(manifest.runtime_version or "", version))
    if look.missing:
        raise RequiredPathsMissing(missing_detail(look.missing), paths=look.missing)


def look_for(context: TaskContext, endpoint: Endpoint, paths: Sequence[str], trace: Trace) -> WorkspaceFound:
    """Look up absolute paths in the workspace. Raise PathOutsideWorkspace and ExecutorError."""
    try:
        return context.executors.validate(endpoint, ValidateWorkspace(required_paths=list(paths)), trace)
    except ExecutorError as error:
        if error.problem != OUTSIDE:
            raise
        detail = f"{error.detail} Replace the link by a folder, or take the path out of the app's manifest."
        raise PathOutsideWorkspace(detail, paths=error.paths) from None
