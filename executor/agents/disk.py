"""The watched limit of a workspace's disk, for where the engine has no quota.

A single file cannot grow past the limit at all: the kernel holds the agent's processes to it (RLIMIT_FSIZE). The whole
is measured: at a turn's start, when the disk has lost much room since, and every half minute.
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
"""Measured again when the disk has lost one part in so many of what was still free."""
ENDLESS = 1 << 62


async def disk_is_full(turn: Turn) -> None:
    """Returns when workspace and home together are over the turn's limit; never without one. A turn that begins over it
    may grow by little, what an agent writes of its conversation, for nobody could ever make room otherwise."""
    if not turn.disk_bytes:
        await asyncio.Event().wait()
    used = await asyncio.to_thread(measure, turn)
    ceiling = max(turn.disk_bytes, used + min(turn.disk_bytes // 10, MOST_SLACK_BYTES))
    while used <= ceiling:
        await _room_shrinks(turn.workspace, (ceiling - used) // MARGIN)
        used = await asyncio.to_thread(measure, turn)


def disk_full(limit: int) -> RunFinished:
    """`limit` in bytes."""
    sentence = f"The workspace and the agent's home reached their limit of {limit / 1024**2:g} MiB on the disk."
    return TurnFailed("disk_limit", f"{sentence} Have files deleted, or ask for a higher limit.").finished()


def limit_files(limit: int) -> None:
    """In the new child, before its program: no file of it and of all that it starts grows past so many bytes."""
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def measure(turn: Turn) -> int:
    """Bytes on the disk of workspace and home. A tree too deep to be named is taken as endless."""
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
    """A file of several names counts once."""
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError as error:
        return ENDLESS if error.errno == errno.ENAMETOOLONG else 0
    if found.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
        if (found.st_dev, found.st_ino) in seen:
            return 0
        seen.add((found.st_dev, found.st_ino))
    return found.st_blocks * BLOCK_BYTES


async def _room_shrinks(folder: Path, much: int) -> None:
    """Until the disk has `much` less room than now, or MEASURE_SECONDS are over. Others use the disk too."""
    loop = asyncio.get_running_loop()
    deadline, before = loop.time() + MEASURE_SECONDS, _room(folder)
    await asyncio.sleep(LOOK_SECONDS)
    while loop.time() < deadline and before - _room(folder) <= much:  # noqa: ASYNC110 -- the kernel tells nobody
        await asyncio.sleep(LOOK_SECONDS)


def _room(folder: Path) -> int:
    """Bytes; the folder is a worker's own, or a mount, and there."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
