"""Check the workspace and the agent's home, and create the folders that agents need."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

from pydantic_core import PydanticCustomError

from executor import RUNTIME_VERSION
from executor.agents.home_files import home_folder
from schema.errors import PathOutsideWorkspace
from schema.executor_api import AgentDataLinked, ValidateWorkspace, WorkspaceFound
from schema.paths import located
from schema.workspace_api import Root

HOME_FOLDERS = (".config", ".cache", ".local/share", ".local/state")
"""Folders that every agent may rely on."""
_IN_THE_WAY = (errno.ELOOP, errno.ENOTDIR, errno.EXDEV)


def validate_workspace(workspace: Path, home: Path, request: ValidateWorkspace) -> WorkspaceFound:
    """Report which of the required paths exist. Raises PathOutsideWorkspace for a path that leaves its root by `..` or
    a link."""
    roots: dict[Root, Path] = {"workspace": workspace, "agent": home}
    paths = {path: _locate(roots, path) for path in request.required_paths}
    outside = [path for path, located_path in paths.items() if located_path is None]
    if outside:
        named = ", ".join(outside[:5])
        raise PathOutsideWorkspace(
            f"These paths are not below /workspace or /agent, or a link leads outside: {named}.", paths=outside
        )
    kinds = {path: _kind(located_path) for path, located_path in paths.items() if located_path is not None}
    missing = [path for path, kind in kinds.items() if kind is None]
    is_same_version = request.runtime_version in {None, RUNTIME_VERSION}
    return WorkspaceFound(
        ok=is_same_version and not missing,
        missing=missing,
        found={"runtimeVersion": RUNTIME_VERSION, "paths": {path: kind for path, kind in kinds.items() if kind}},
    )


def link_agent_data(home: Path) -> AgentDataLinked:
    """Create the home, private to its owner, with the folders that agents rely on.

    A file or link that an agent put where a folder belongs is left alone. Raises OSError for a link in place of the
    home.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in HOME_FOLDERS:
        try:
            with home_folder(home, folder):
                pass
        except OSError as error:
            if error.errno not in _IN_THE_WAY or error.filename == str(home):
                raise
    return AgentDataLinked(linked=[folder for folder in HOME_FOLDERS if (home / folder).is_dir()])


def _locate(roots: Mapping[Root, Path], path: str) -> Path | None:
    """Return the path on this machine, or None when it leaves its root. A relative path is below the workspace."""
    try:
        root, below = located(path, None if path.startswith("/") else "workspace")
        located_path = roots[root] / below
        return located_path if located_path.resolve().is_relative_to(roots[root].resolve()) else None
    except (PydanticCustomError, OSError, RuntimeError):  # an invalid path, a loop of links, a name that is too long
        return None


def _kind(path: Path) -> str | None:
    try:
        return "folder" if path.is_dir() else "file" if path.is_file() else "other" if path.exists() else None
    except OSError:
        return None
