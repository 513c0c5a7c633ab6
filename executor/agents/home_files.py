"""Write beneath an agent's home and nowhere else: an earlier turn may have put a link where a folder belongs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from executor.snapshotter.paths import CREATE, FOLDER, open_below, open_root

LINKED = "it is a link, and Runyard writes through none"


@contextmanager
def home_folder(home: Path, folder: str = "") -> Iterator[int]:
    """Open a folder of the home for the length of the block, and create missing ones with mode 700.

    Raises OSError that names the first path in the way: a link, also one that stays inside of the home or leads
    nowhere, or a file.
    """
    with _told_in_words(home):
        at = open_root(os.fsencode(home))
    try:
        path = home
        for name in Path(folder).parts:
            path /= name
            with _told_in_words(path):
                below = _made(at, os.fsencode(name))
            os.close(at)
            at = below
        yield at
    finally:
        os.close(at)


def write_home_file(home: Path, path: str, content: bytes) -> None:
    """Write a file anew with mode 600, in place of a link or file of its name. Raises OSError that names a path."""
    folder, name = os.path.split(path)
    with home_folder(home, folder) as at, _told_in_words(home / path):
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=at)
        with open(os.open(name, CREATE, 0o600, dir_fd=at), "wb") as file:
            file.write(content)


def replace_home_file(home: Path, name: str, content: bytes) -> None:
    """Replace a file of the home's top atomically. Raises OSError."""
    new = f"{name}.new"
    write_home_file(home, new, content)
    with home_folder(home) as at:
        os.replace(new, name, src_dir_fd=at, dst_dir_fd=at)


def _made(at: int, name: bytes) -> int:
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=at)
    return open_below(at, name, FOLDER)


@contextmanager
def _told_in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        cause = LINKED if path.is_symlink() else error.strerror
        raise type(error)(error.errno, cause, str(path)) from None
