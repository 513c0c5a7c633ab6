"""Prepare the start of a provider's agent: its program, its home, its environment."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from executor.agents.agent_folders import AgentFolders
from executor.agents.environment import agent_environment
from executor.agents.failures import TurnFailed
from executor.agents.home_files import write_home_file
from executor.agents.install import installed_program
from executor.agents.node import find_node, path_with_python, run_by_node
from executor.agents.provider import HomeFile, Provider
from executor.agents.provider_settings import RunSettings
from executor.agents.roots import link_agent_data
from executor.agents.trust.guard import guarded
from executor.agents.turn import Turn


def program_of(provider: Provider) -> str | None:
    """Return the absolute path of the provider's program, or None when it is not installed."""
    if provider.npm is not None:
        program = installed_program(provider)
        return None if program is None else str(program)
    return shutil.which(provider.command, path=_path(provider))


def command_of(provider: Provider) -> list[str]:
    """Return the command line. Raises TurnFailed `program_missing`."""
    program = program_of(provider)
    if program is None:
        raise TurnFailed(
            "program_missing",
            f"{provider.title}'s program {provider.command!r} is not installed. Install it on the worker.",
        )
    node = find_node(_path(provider)) if provider.npm and run_by_node(Path(program)) else None
    return [str(node.program), program, *provider.args] if node else [program, *provider.args]


def environment_of(provider: Provider, turn: Turn, added: Mapping[str, str]) -> dict[str, str]:
    environment = agent_environment(provider, session_id=turn.run.session_id, home=turn.home, added=added)
    return {**environment, "PATH": path_with_python(_path(provider), sys.executable)}


def _path(provider: Provider) -> str:
    return provider.host_environment.get("PATH", os.defpath)


def working_folder(turn: Turn) -> Path:
    """Return the working folder, absolute and without links. The caller checks that it exists and may be used."""
    with turn.account.acting():
        return (turn.workspace / (turn.run.options.cwd or ".")).resolve()


def workspace_folder(turn: Turn) -> Path:
    """Return the workspace, absolute and without links."""
    with turn.account.acting():
        return turn.workspace.resolve()


def folders_of(turn: Turn) -> AgentFolders:
    """Return the turn's folders. The caller checks that they exist and may be used."""
    with turn.account.acting():
        home = turn.home.resolve()
    return AgentFolders(workspace_folder(turn), home, working_folder(turn))


class FolderPreparation:
    """Prepare a turn's folders in a thread: git may wait for a file of the workspace, and the executor must not."""

    def __init__(self, provider: Provider, turn: Turn, warn: Callable[[str, str], None]) -> None:
        self._provider, self._turn, self._warn = provider, turn, warn
        self._thread: asyncio.Future[tuple[RunSettings, str | None]] | None = None

    async def run(self, settings: RunSettings) -> RunSettings:
        """Return the settings to start with. Raises TurnFailed."""
        work = asyncio.to_thread(prepare_folders, self._provider, self._turn, settings)
        self._thread = asyncio.ensure_future(work)
        prepared, ignored = await asyncio.shield(self._thread)
        if ignored is not None:
            self._warn("workspace_ignored", ignored)
        return prepared

    async def ended(self) -> None:
        """Wait for the thread of a cancelled turn: no other turn may find it at work on these folders."""
        if self._thread is not None:
            await asyncio.wait({self._thread})


def prepare_folders(provider: Provider, turn: Turn, settings: RunSettings) -> tuple[RunSettings, str | None]:
    """Check the working folder and prepare the agent's home. Raises TurnFailed.

    Return the settings to start with, and a warning of files that are ignored.
    """
    contents = {file.path: _content(file) for file in provider.files}
    contents |= {path: text.encode() for path, text in settings.files.items()}
    folders = folders_of(turn)
    with turn.account.acting():
        check_working_folder(folders.cwd, turn.workspace)
        try:
            prepare_home(turn.home, contents)
        except OSError as error:  # a full disk, or a file or link of the agent where a folder belongs
            cause = f"{error.filename or turn.home}: {error.strerror}"
            raise TurnFailed("home_unusable", f"The executor cannot prepare the agent's home: {cause}.") from None
    environment = environment_of(provider, turn, settings.environment)
    return guarded(settings, turn, provider, folders=folders, environment=environment)


def check_working_folder(folder: Path, workspace: Path) -> None:
    """Raise TurnFailed `option_refused` for a folder that is missing or outside of the workspace."""
    if not folder.is_relative_to(workspace.resolve()):
        raise TurnFailed("option_refused", f"The folder {folder} is outside of the workspace.")
    if not folder.is_dir():
        raise TurnFailed("option_refused", f"The workspace has no folder {folder.relative_to(workspace.resolve())}.")


def prepare_home(home: Path, contents: Mapping[str, bytes]) -> None:
    """Create the folders that agents rely on, and write the provider's files (path to content) anew with mode 600.

    Raises OSError that names the path in the way.
    """
    link_agent_data(home)
    for path, content in contents.items():
        write_home_file(home, path, content)


def _content(file: HomeFile) -> bytes:
    """Return the file's content. Raises TurnFailed `login_missing` when its source is unreadable."""
    if file.source is None:
        return (file.content or "").encode()
    try:
        return file.source.read_bytes()
    except OSError as error:
        raise TurnFailed("login_missing", f"The executor cannot read {file.source} for {file.path}: {error}") from None
