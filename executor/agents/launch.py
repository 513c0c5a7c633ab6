"""What it takes to start one provider's agent: its program, its home, its environment."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from executor.agents.environment import agent_environment
from executor.agents.failures import TurnFailed
from executor.agents.install import installed_program
from executor.agents.node import find_node, path_with_python, run_by_node
from executor.agents.provider import HomeFile, Provider
from executor.agents.roots import link_agent_data
from executor.agents.turn import Turn


def program_of(provider: Provider) -> str | None:
    """The absolute path of the provider's program; None when it is not installed."""
    if provider.npm is not None:
        found = installed_program(provider)
        return None if found is None else str(found)
    return shutil.which(provider.command, path=_path(provider))


def command_of(provider: Provider) -> list[str]:
    """The command line; raises TurnFailed `program_missing`."""
    program = program_of(provider)
    if program is None:
        raise TurnFailed("program_missing", f"The program {provider.command!r} of {provider.title} is not installed.")
    node = find_node(_path(provider)) if provider.npm and run_by_node(Path(program)) else None
    return [str(node.program), program, *provider.args] if node else [program, *provider.args]


def environment_of(provider: Provider, turn: Turn, added: Mapping[str, str]) -> dict[str, str]:
    environment = agent_environment(provider, session_id=turn.session_id, home=turn.home, added=added)
    return {**environment, "PATH": path_with_python(_path(provider), sys.executable)}


def _path(provider: Provider) -> str:
    return provider.host_environment.get("PATH", os.defpath)


def working_folder(turn: Turn) -> Path:
    """Absolute and without links; whether it is there and may be used is yet to be checked."""
    with turn.account.acting():
        return (turn.workspace / (turn.options.cwd or ".")).resolve()


def workspace_folder(turn: Turn) -> Path:
    """Absolute and without links, as the working folder is."""
    with turn.account.acting():
        return turn.workspace.resolve()


def make_ready(provider: Provider, turn: Turn, cwd: Path) -> None:
    """What an agent finds: its working folder and its furnished home. Raises TurnFailed."""
    contents = {one.path: _content(one) for one in provider.files}
    with turn.account.acting():
        check_working_folder(cwd, turn.workspace)
        try:
            furnish_home(turn.home, contents)
        except OSError as error:  # a full disk, or what an agent has put in the place of a folder
            what = f"{error.filename or turn.home}: {error.strerror}"
            raise TurnFailed("home_unusable", f"The agent's home cannot be made ready: {what}.") from None


def check_working_folder(folder: Path, workspace: Path) -> None:
    """Raises TurnFailed `option_refused` for a folder that is not there or lies elsewhere."""
    if not folder.is_relative_to(workspace.resolve()):
        raise TurnFailed("option_refused", f"The folder {folder} lies outside of the workspace.")
    if not folder.is_dir():
        raise TurnFailed("option_refused", f"The workspace has no folder {folder.relative_to(workspace.resolve())}.")


def furnish_home(home: Path, contents: Mapping[str, bytes]) -> None:
    """Make the folders that agents count on, and write the provider's files anew, mode 600, by their paths there."""
    link_agent_data(home)
    for path, content in contents.items():
        target = home / path
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        target.unlink(missing_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(content)


def _content(file: HomeFile) -> bytes:
    """Raises TurnFailed `login_missing` when its source is not there."""
    if file.source is None:
        return (file.content or "").encode()
    try:
        return file.source.read_bytes()
    except OSError as error:
        raise TurnFailed("login_missing", f"The file {file.source} for {file.path} cannot be read: {error}") from None
