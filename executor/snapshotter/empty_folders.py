"""Remove folders that putting files back has emptied."""

from __future__ import annotations

import os
from contextlib import suppress

from executor.snapshotter.paths import open_root, opened, split
from schema.snapshot_manifest import path_bytes


def remove_empty(workspace: bytes, folders: list[str]) -> None:
    """Remove those of the workspace's folders, the deepest first, in which nothing is left."""
    root = open_root(workspace)
    try:
        for path in folders:
            folder, name = split(path_bytes(path))
            with suppress(OSError), opened(root, folder) as at:
                os.rmdir(name, dir_fd=at)
    finally:
        os.close(root)
