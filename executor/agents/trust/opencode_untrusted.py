"""Tell which files of OpenCode cannot be ignored: it loads a workspace's plugins, and asks what a login names for more
configuration, whatever it is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from executor.agents.trust.jsonc import keys_of

PLUGINS = ("plugin/*", "plugins/*")
CONFIGS = ("opencode.json", "opencode.jsonc")
LONGEST_FILE = 1024 * 1024
"""Bytes of a file that is searched. A longer one may say anything."""


def files_with_plugins(folder: Path) -> Iterator[Path]:
    """Return the files of a folder, and of its `.opencode`, by which OpenCode would load or may load plugins."""
    for name in PLUGINS:
        yield from (path for path in sorted((folder / ".opencode").glob(name)) if not _is_no_program(path))
    for place in (folder, folder / ".opencode"):
        yield from (place / name for name in CONFIGS if _may_name_a_plugin(place / name))


def asks_for_configuration(login: Path) -> bool:
    """Tell whether OpenCode may fetch configuration for an entry of its `auth.json`: a `wellknown` one."""
    keys = _keys(login)
    return keys is None or ("type", "wellknown") in keys


def _is_no_program(path: Path) -> bool:
    """Tell whether the file only keeps its folder, or explains it. OpenCode loads `.js` and `.ts` alone."""
    return path.is_file() and (path.name == ".gitkeep" or path.suffix == ".md")


def _may_name_a_plugin(config: Path) -> bool:
    keys = _keys(config)
    return keys is None or any(key in ("plugin", "plugins") and value for key, value in keys)


def _keys(path: Path) -> list[tuple[str, object]] | None:
    """Return every key of the file with its value; none of an absent or empty file; None when it cannot be read."""
    if not path.is_file():  # a pipe would never end
        return None if path.is_symlink() or path.exists() else []
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST_FILE + 1)
        if len(text) > LONGEST_FILE:
            return None
        return keys_of(text) if text else []
    except (OSError, ValueError):
        return None
