"""The workspace and the agent's home as they are now: what is there, and what an agent needs to find."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import ClassVar

from executor import RUNTIME_VERSION
from schema.errors import Invalid
from schema.executor_api import AgentDataLinked, ValidateWorkspace, WorkspaceFound

HOME_FOLDERS = (".config", ".cache", ".local/share", ".local/state")
"""What every agent may count on, whichever it is."""


class PathOutsideWorkspace(Invalid):
    """A path must lie below the workspace."""

    code: ClassVar[str] = "path_outside_workspace"


def validate_workspace(workspace: Path, asked: ValidateWorkspace) -> WorkspaceFound:
    """Which of the required paths are there. One that leaves the workspace, by `..` or by a link, is refused."""
    outside = [path for path in asked.required_paths if not _lies_below(workspace, path)]
    if outside:
        raise PathOutsideWorkspace(paths=outside)
    kinds = {path: _kind(workspace / path) for path in asked.required_paths}
    missing = [path for path, kind in kinds.items() if kind is None]
    is_our_version = asked.runtime_version in {None, RUNTIME_VERSION}
    return WorkspaceFound(
        ok=is_our_version and not missing,
        missing=missing,
        found={"runtimeVersion": RUNTIME_VERSION, "paths": {path: kind for path, kind in kinds.items() if kind}},
    )


def link_agent_data(home: Path) -> AgentDataLinked:
    """Make sure that the home is there, for its owner alone, with the folders that agents count on."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in HOME_FOLDERS:
        (home / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    return AgentDataLinked(linked=list(HOME_FOLDERS))


def _lies_below(workspace: Path, path: str) -> bool:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts:
        return False
    try:
        return (workspace / parts).resolve().is_relative_to(workspace.resolve())
    except (OSError, RuntimeError):  # a loop of links, a name that is too long
        return False


def _kind(path: Path) -> str | None:
    try:
        return "folder" if path.is_dir() else "file" if path.is_file() else "other" if path.exists() else None
    except OSError:
        return None
