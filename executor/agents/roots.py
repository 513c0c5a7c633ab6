"""The workspace and the agent's home as they are now: what is there, and what an agent needs to find."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pydantic_core import PydanticCustomError

from executor import RUNTIME_VERSION
from schema.errors import PathOutsideWorkspace
from schema.executor_api import AgentDataLinked, ValidateWorkspace, WorkspaceFound
from schema.paths import located
from schema.workspace_api import Root

HOME_FOLDERS = (".config", ".cache", ".local/share", ".local/state")
"""What every agent may count on, whichever it is."""


def validate_workspace(workspace: Path, home: Path, asked: ValidateWorkspace) -> WorkspaceFound:
    """Which of the required paths are there. One that leaves its root, by `..` or by a link, is refused."""
    roots: dict[Root, Path] = {"workspace": workspace, "agent": home}
    places = {path: _place(roots, path) for path in asked.required_paths}
    outside = [path for path, place in places.items() if place is None]
    if outside:
        named = ", ".join(outside[:5])
        raise PathOutsideWorkspace(
            f"These are not below /workspace or /agent, or a link leads out: {named}.", paths=outside
        )
    kinds = {path: _kind(place) for path, place in places.items() if place is not None}
    missing = [path for path, kind in kinds.items() if kind is None]
    is_our_version = asked.runtime_version in {None, RUNTIME_VERSION}
    return WorkspaceFound(
        ok=is_our_version and not missing,
        missing=missing,
        found={"runtimeVersion": RUNTIME_VERSION, "paths": {path: kind for path, kind in kinds.items() if kind}},
    )


def link_agent_data(home: Path) -> AgentDataLinked:
    """Make sure that the home is there, for its owner alone, with the folders that agents count on. What an agent has
    put in the place of one is left to it."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in HOME_FOLDERS:
        with suppress(FileExistsError, NotADirectoryError):
            (home / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    return AgentDataLinked(linked=[folder for folder in HOME_FOLDERS if (home / folder).is_dir()])


def _place(roots: Mapping[Root, Path], path: str) -> Path | None:
    """Where the path is on this machine; None when it leaves its root. Without a root it is below the workspace."""
    try:
        root, below = located(path, None if path.startswith("/") else "workspace")
        place = roots[root] / below
        return place if place.resolve().is_relative_to(roots[root].resolve()) else None
    except (PydanticCustomError, OSError, RuntimeError):  # not a path of ours; a loop of links, a name that is too long
        return None


def _kind(path: Path) -> str | None:
    try:
        return "folder" if path.is_dir() else "file" if path.is_file() else "other" if path.exists() else None
    except OSError:
        return None
