"""Watch the disk limit of a workspace where the container engine has no quota.

The kernel keeps a single file below the limit (RLIMIT_FSIZE on the agent's processes). The executor measures the total
at a turn's start, when the disk has lost much room since, and every half minute.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
from pathlib import Path

from executor.agents.failures import TurnFailed
from executor.agents.turn import Turn
from schema.events import RunFinished

LOOK_SECONDS = 0.5
MEASURE_SECONDS = 30.0
BLOCK_BYTES = 512
MOST_SLACK_BYTES = 64 * 1024 * 1024
MARGIN = 8
"""Measure again when the disk has lost one part in this many of the remaining room."""
ENDLESS = 1 << 62


async def disk_is_full(turn: Turn) -> None:
    """Return when workspace and home together exceed the turn's limit; never return without a limit.

    A turn that begins above the limit may grow by a little, as an agent's conversation does. Otherwise no turn could
    ever free space.
    """
    if not turn.disk_bytes:
        await asyncio.Event().wait()
    used = await asyncio.to_thread(measure, turn)
    ceiling = max(turn.disk_bytes, used + min(turn.disk_bytes // 10, MOST_SLACK_BYTES))
    while used <= ceiling:
        await _room_shrinks(turn.workspace, (ceiling - used) // MARGIN)
        used = await asyncio.to_thread(measure, turn)


def disk_full(limit: int) -> RunFinished:
    """Return the failure for a limit in bytes."""
    sentence = f"The workspace and the agent's home reached their disk limit of {limit / 1024**2:g} MiB."
    return TurnFailed("disk_limit", f"{sentence} Delete files in a new run, or raise the limit.").finished()


def limit_files(limit: int) -> None:
    """Limit every file of this process and its children to `limit` bytes. Runs in the new child, before its program."""
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def measure(turn: Turn) -> int:
    """Return the bytes on disk of workspace and home. A tree whose paths are too long counts as endless."""
    with turn.account.acting():
        seen: set[tuple[int, int]] = set()
        return sum(_size_below(root, seen) for root in (turn.workspace, turn.home))


def _size_below(root: Path, seen: set[tuple[int, int]]) -> int:
    size, folders = 0, [os.fsencode(root)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    size += _size_of(entry, seen)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return ENDLESS
    return size


def _size_of(entry: os.DirEntry[bytes], seen: set[tuple[int, int]]) -> int:
    """Return an entry's bytes on disk. A file with several names counts once."""
    try:
        info = entry.stat(follow_symlinks=False)
    except OSError as error:
        return ENDLESS if error.errno == errno.ENAMETOOLONG else 0
    if info.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
        if (info.st_dev, info.st_ino) in seen:
            return 0
        seen.add((info.st_dev, info.st_ino))
    return info.st_blocks * BLOCK_BYTES


async def _room_shrinks(folder: Path, much: int) -> None:
    """Return when the disk has `much` less room than now, or after MEASURE_SECONDS. Others use the disk too."""
    loop = asyncio.get_running_loop()
    deadline, before = loop.time() + MEASURE_SECONDS, _room(folder)
    await asyncio.sleep(LOOK_SECONDS)
    while loop.time() < deadline and before - _room(folder) <= much:  # noqa: ASYNC110 -- the kernel offers no event for it
        await asyncio.sleep(LOOK_SECONDS)


def _room(folder: Path) -> int:
    """Return the free bytes of the folder's file system."""
    info = os.statvfs(folder)
    return info.f_bavail * info.f_frsize
