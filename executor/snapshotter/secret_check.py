"""Look for secret values in the bytes that a save reads, before the bytes are sent to the store."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from executor.secret_search import SecretSearch
from executor.snapshotter.paths import in_folders
from executor.snapshotter.scan import Scan, text_of
from executor.snapshotter.stable_read import LARGE_BYTES, NotReadable, open_file, read_pieces
from schema.workspace_api import FOUND_IN_FILE, LEFT_OUT_OF_HOME

FilePiece = tuple[int, bytes]
"""offset, bytes"""

_BESIDE_DATABASE = ("-wal", "-shm", "-journal")
"""Ends of the names of files that SQLite keeps beside a database. The database is whole only with them."""


class SecretCheck:
    """Check one file. `leaves_out`: a file with a secret is refused; else `found` tells that it has one."""

    def __init__(self, search: SecretSearch, *, leaves_out: bool) -> None:
        self._search = search
        self._leaves_out = leaves_out
        self.found = False

    @property
    def skip_reason(self) -> str | None:
        """Return the reason to report for a file that is saved with a secret in it, None for any other."""
        return FOUND_IN_FILE if self.found else None

    def take(self, data: bytes) -> None:
        """Check a complete file. Raises NotReadable when it has to be left out."""
        if self.found or not self._search.is_in(data):
            return
        self.found = True
        if self._leaves_out:
            raise NotReadable(LEFT_OUT_OF_HOME)

    def pieces(self, pieces: Iterator[FilePiece]) -> Iterator[FilePiece]:
        """Yield a file's pieces, each once it and the start of the next are checked. Raises as `take` does."""
        window = 2 * self._search.longest  # a value over the border of two pieces, with line ends in it
        before: FilePiece | None = None
        for piece in pieces:
            self.take(piece[1])
            if before is not None:
                self.take(before[1][-window:] + piece[1][:window])
                yield before
            before = piece
        if before is not None:
            yield before


def database_of(path: str) -> str:
    """Return the path of the database that SQLite keeps this file for, or the path itself."""
    end = next((end for end in _BESIDE_DATABASE if path.endswith(end)), "")
    return path.removesuffix(end)


def leave_out(scanned: Scan, refused: Iterable[str]) -> None:
    """Leave these files out, and with each the rest of its database. A part of one would be an older state."""
    databases = {database_of(path) for path in refused}
    named = scanned.left_out
    for number, path in scanned.files if databases else []:
        if database_of(path) in databases:
            scanned.entries[number] = None
            scanned.stamps.pop(text_of(path), None)
            if path not in named:
                scanned.skipped.append((path, LEFT_OUT_OF_HOME))


def find_secrets(
    root: int, files: Sequence[tuple[int, str]], search: SecretSearch, *, beside: Iterable[str], opens_up: bool
) -> list[str]:
    """Return those files with a secret of which a save would send a part before it finds the secret: large files, and
    databases of several files. `beside` are all paths that are there."""
    counts = Counter(map(database_of, beside))
    return [
        path
        for _, folder, path in in_folders(root, files)
        if _has_secret(folder, path, search, is_whole=counts[database_of(path)] < 2, opens_up=opens_up)
    ]


def _has_secret(folder: int, path: str, search: SecretSearch, *, is_whole: bool, opens_up: bool) -> bool:
    """Search the file; a small one only when it `is_whole` not. A file that cannot be read is left to the save."""
    name = path[path.rfind("/") + 1 :]
    try:
        seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(seen.st_mode) or (is_whole and seen.st_size < LARGE_BYTES):
            return False
        descriptor = open_file(folder, name, opens_up=opens_up)
        try:
            for _ in SecretCheck(search, leaves_out=True).pieces(read_pieces(descriptor, seen)):
                pass
        finally:
            os.close(descriptor)
    except NotReadable as error:
        return error.reason == LEFT_OUT_OF_HOME
    except OSError:
        return False
    return False
