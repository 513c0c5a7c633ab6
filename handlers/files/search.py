"""Find files of a snapshot by their names, within a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from handlers.files.tree import FileItem, SnapshotTree, split_path

SEARCH_SECONDS = 1.0
_LOOK_EVERY = 4096


@dataclass(frozen=True)
class FoundFiles:
    """`is_partial`: there may be more, beyond the limit or the time."""

    items: list[FileItem]
    is_partial: bool


def search_names(
    tree: SnapshotTree,
    text: str,
    *,
    limit: int,
    allows: Callable[[str], bool] = lambda _path: True,
    seconds: float = SEARCH_SECONDS,
) -> FoundFiles:
    """Return allowed files and folders whose names hold the text in any case, in the order of the manifest."""
    wanted = text.casefold()
    until = time.monotonic() + seconds
    items: list[FileItem] = []
    for number, entry in enumerate(tree.manifest.entries(tree.root)):
        if number % _LOOK_EVERY == 0 and time.monotonic() > until:
            return FoundFiles(items, is_partial=True)
        if wanted in split_path(entry.path)[1].casefold() and allows(entry.path):
            if len(items) == limit:
                return FoundFiles(items, is_partial=True)
            items.append(tree.item(entry))
    return FoundFiles(items, is_partial=False)
