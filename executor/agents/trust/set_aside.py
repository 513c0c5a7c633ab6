"""Take files of an agent's home that decide for the agent out of use, and bring them back. See untrusted_files.py."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path

from executor.agents.failures import TurnFailed
from executor.agents.provider import Dialect
from executor.agents.trust.opencode_untrusted import asks_for_configuration
from executor.agents.trust.untrusted_files import IN_HOME, OPENCODE_LOGIN, SHELLS, exists
from executor.set_aside_names import SET_ASIDE, is_aside, name_aside, number_of

MOST_SET_ASIDE = 1000
"""Copies that are kept of one file."""
REPLACED = (".cache",)
"""Folders of the home whose files an agent makes anew. Of these only the newest copy is kept."""
MOST_COMPARED = 10_000
"""Files and folders of one tree that are compared."""
MOST_COMPARED_BYTES = 64 * 1024 * 1024
READ_BYTES = 1024 * 1024
TRUST = "let an operator set trustWorkspace for the app."


def set_aside(dialect: Dialect, home: Path) -> list[str]:
    """Rename the home's files that decide for the agent. Return the paths of new ones, as `~/...`.

    A copy is deleted when the newer one is equal, or belongs to a cache. Raises TurnFailed `workspace_untrusted` for a
    file that cannot be renamed, or lies behind a link that leads out of the home.
    """
    found = list(_found_in_home(dialect, home))
    for path in found:
        _refuse_linked_parents(path, home)
    return [f"~/{path.relative_to(home)}" for path in found if _rename(path, home)]


def put_back(dialect: Dialect, home: Path) -> None:
    """Rename files that an earlier turn set aside to their old names, unless newer files have these names."""
    for pattern in (*SHELLS, *IN_HOME.get(dialect, ())):
        folder, _, name = f"/{pattern}".rpartition("/")
        inside = folder.removeprefix("/")
        found = {path for form in (f".{name}", name) for path in home.glob(f"{inside}/{form}{SET_ASIDE}*".lstrip("/"))}
        aside = [path for path in found if number_of(path.name) is not None]
        for path in sorted(aside, key=_number, reverse=True):
            old = path.with_name(_name_before(path.name, name))
            if not exists(old) and _outward_link(path, home) is None:
                path.rename(old)


def _name_before(name: str, pattern: str) -> str:
    """Return the old name of a file that the pattern names. A dot before it may be its own."""
    before = name.rpartition(SET_ASIDE)[0]
    return before[1:] if before.startswith(".") and fnmatchcase(before[1:], pattern) else before


def _found_in_home(dialect: Dialect, home: Path) -> Iterator[Path]:
    for name in (*SHELLS, *IN_HOME.get(dialect, ())):
        found = home.glob(name) if "*" in name else [home / name]  # glob leaves out a broken link of a whole name
        for path in sorted(path for path in found if not is_aside(path.name) and exists(path)):
            if name != OPENCODE_LOGIN or asks_for_configuration(path):
                yield path


def _refuse_linked_parents(path: Path, home: Path) -> None:
    """Raise TurnFailed for a file behind a link: renaming would change what lies outside of the home."""
    link = _outward_link(path, home)
    if link is not None:
        message = f"~/{path.relative_to(home)} may start programs or change what is asked, and cannot be set aside"
        cause = f"~/{link.relative_to(home)} is a link that leads out of the agent's home"
        remedy = f"Replace the link by a folder, or {TRUST}"
        raise TurnFailed("workspace_untrusted", f"{message}: {cause}. {remedy}")


def _outward_link(path: Path, home: Path) -> Path | None:
    """Return the first folder above the file that is a link and leads out of the home."""
    above = [folder for folder in reversed(path.parents) if folder.is_relative_to(home) and folder != home]
    links = (folder for folder in above if folder.is_symlink())
    return next((link for link in links if not link.resolve().is_relative_to(home.resolve())), None)


def _rename(path: Path, home: Path) -> bool:
    """Take the file out of use. Return False when it only replaces an older copy."""
    copies = sorted(_copies(path), key=_number)
    is_replaced = path.relative_to(home).parts[0] in REPLACED
    outdated = [copy for copy in copies if is_replaced or _is_equal(copy, path)]
    try:
        if len(copies) - len(outdated) >= MOST_SET_ASIDE:
            raise FileExistsError(17, "too many files were set aside before", str(path))
        path.rename(path.with_name(name_aside(path.name, max(map(_number, copies), default=0) + 1)))
    except OSError as error:
        shown = f"~/{path.relative_to(home)}"
        message = f"{shown} in the agent's home may start programs or change what is asked, and cannot be renamed"
        remedy = f"Remove it or what is named *{path.name}{SET_ASIDE}* beside it, or {TRUST}"
        raise TurnFailed("workspace_untrusted", f"{message} ({error.strerror}). {remedy}") from None
    for copy in outdated:
        _remove(copy)
    return not outdated


def _copies(path: Path) -> list[Path]:
    """Return what was set aside of this file before."""
    return [
        path.with_name(name)
        for name in os.listdir(path.parent)
        if (number := number_of(name)) and name in (name_aside(path.name, number), f"{path.name}{SET_ASIDE}{number}")
    ]


def _is_equal(one: Path, other: Path) -> bool:
    """Tell whether two files or trees are equal. Large trees, and what cannot be read, count as different."""
    try:
        files = _listing(one)
        if len(files) > MOST_COMPARED or files != _listing(other):
            return False
        sizes = {name: size for name, kind, size in files if kind == "file"}
        if sum(map(int, sizes.values())) > MOST_COMPARED_BYTES:
            return False
        return all(_has_same_bytes(one / name, other / name) for name in sizes)
    except OSError:
        return False


def _listing(top: Path) -> list[tuple[str, str, str]]:
    """Return the relative path, kind and size or target of the file, or of all in the folder. No link is followed."""
    paths = [top]
    if top.is_dir() and not top.is_symlink():
        paths += islice(top.rglob("*"), MOST_COMPARED)
    return sorted((str(path.relative_to(top)), *_described(path)) for path in paths)


def _described(path: Path) -> tuple[str, str]:
    if path.is_symlink():
        return "link", os.readlink(path)
    if path.is_dir():
        return "folder", ""
    return ("file", str(path.stat().st_size)) if path.is_file() else ("other", str(path.stat().st_ino))


def _has_same_bytes(one: Path, other: Path) -> bool:
    with one.open("rb") as left, other.open("rb") as right:
        while piece := left.read(READ_BYTES):
            if piece != right.read(READ_BYTES):
                return False
        return not right.read(1)


def _remove(path: Path) -> None:
    with suppress(OSError):  # it stays beside the newer copy
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _number(path: Path) -> int:
    return number_of(path.name) or 0
