"""Look for secret values in the bytes that a save reads, before the bytes are sent to the store."""

from __future__ import annotations

from collections.abc import Iterator

from executor.secret_search import SecretSearch
from executor.snapshotter.stable_read import NotReadable
from schema.workspace_api import FOUND_IN_FILE, LEFT_OUT_OF_HOME

FilePiece = tuple[int, bytes]
"""offset, bytes"""


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
