"""Say that a disk is nearly full."""

from __future__ import annotations

import shutil
from pathlib import Path

MEGABYTE = 1024 * 1024


def low_disk(folder: Path, *, below_mb: int, setting: str) -> str | None:
    """Say that the folder's disk has less free space than `below_mb` megabytes, which `setting` sets; None when it has
    enough."""
    try:
        free_mb = shutil.disk_usage(folder).free // MEGABYTE
    except OSError as error:
        return f"The folder {folder} is not readable: {error.strerror}."
    if free_mb >= below_mb:
        return None
    return f"The disk of {folder} has {free_mb} MB left. Free some space ({setting})."
