"""What the structure tests look at: the files of this clone that are, or are about to be, tracked."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("functions", "handlers", "jobs", "executor", "cli", "schema")


@cache
def tracked_files() -> tuple[Path, ...]:
    """Everything that git knows or would add, relative to the root; what is ignored is no part of the project."""
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return tuple(Path(name) for name in sorted(set(listing.split("\0"))) if name and (ROOT / name).is_file())


def python_files(*folders: str) -> Iterator[Path]:
    """Tracked Python files below these folders, or all of them."""
    for path in tracked_files():
        if path.suffix == ".py" and (not folders or any(path.is_relative_to(folder) for folder in folders)):
            yield path


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=str(path))


def text_files() -> Iterator[tuple[Path, str]]:
    """Tracked files that are UTF-8 text, with their content."""
    for path in tracked_files():
        try:
            yield path, (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
