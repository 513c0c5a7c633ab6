"""Read the live workspace: list folders, find names, read files. No link is followed, and nothing waits on a FIFO.

Every function blocks and opens paths with the rights of the calling thread: call it as the agent's account.
"""

from __future__ import annotations

import base64
import errno
import heapq
import os
import stat
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import ClassVar

from executor.snapshotter.ignore import STAGING
from executor.snapshotter.paths import FOLDER, READ, is_there, open_below, open_root, opened
from executor.snapshotter.scan import time_within
from schema.errors import Conflict, Invalid, NotFound
from schema.live_files import (
    LiveFolderQuery,
    LiveHead,
    LiveHeadQuery,
    LiveItem,
    LiveItems,
    LiveSearchQuery,
)
from schema.snapshot_manifest import BadManifest, is_safe_path, path_bytes, path_text

SEARCH_SECONDS = 1.0
_NO_SUCH = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.ENAMETOOLONG)
_NO_FILE = (errno.EISDIR, errno.ENXIO, errno.ENODEV, errno.EINVAL)
_Listed = tuple[bool, str, str]
"""Whether it is no folder, the name as manifests spell it, and the name as the system has it."""


class FileChanging(Conflict):
    """The file changed while it was read. Try again."""

    code: ClassVar[str] = "file_changing"


def list_folder(workspace: Path, query: LiveFolderQuery) -> LiveItems:
    """Return a page of a folder's items. Sockets, FIFOs and devices are left out, as in snapshots. Raises NotFound."""
    folder = located(query.path)
    after = None if query.after_name is None else (not query.after_folder, query.after_name)
    items: list[LiveItem] = []
    with _folder(workspace, folder) as at:
        while (missing := query.limit - len(items)) > 0:  # those that have gone since they were listed are made up for
            later = (name for name in _names(at, is_root=not folder) if after is None or name[:2] > after)
            page = heapq.nsmallest(missing, later)
            items += [item for name in page if (item := _item(at, folder, name)) is not None]
            if len(page) < missing:
                break
            after = page[-1][:2]
    return LiveItems(items=items)


def find_names(workspace: Path, query: LiveSearchQuery, *, seconds: float = SEARCH_SECONDS) -> LiveItems:
    """Return items whose names contain the text in any case, within a time."""
    wanted, until = query.text.casefold(), time.monotonic() + seconds
    items: list[LiveItem] = []
    with closing(walked(workspace, wanted)) as found:
        for item in found:
            if len(items) >= query.limit or time.monotonic() > until:
                return LiveItems(items=items, is_partial=True)
            if item is not None:
                items.append(item)
    return LiveItems(items=items)


def walked(workspace: Path, wanted: str = "") -> Generator[LiveItem | None]:
    """Yield every item whose casefolded name contains the wanted text, and None for every other."""
    waiting = [b""]
    while waiting:
        folder = waiting.pop()
        try:
            with _folder(workspace, folder) as at:
                for name in sorted(_names(at, is_root=not folder)):
                    if not name[0]:
                        waiting.append(_joined(folder, name))
                    yield _item(at, folder, name) if wanted in name[1].casefold() else None
        except (NotFound, Invalid):  # it has gone since its parent was listed, or the agent may not read it
            continue


def read_head(workspace: Path, query: LiveHeadQuery) -> LiveHead:
    """Return a file's size, version and first bytes. Raises NotFound, Invalid and FileChanging."""
    with opened_file(workspace, query.path) as descriptor:
        seen = os.fstat(descriptor)
        head = os.pread(descriptor, query.most, 0) if query.most else b""
        refuse_if_written(descriptor, seen)
        return LiveHead(
            size=seen.st_size,
            mtime_ns=seen.st_mtime_ns,
            mode=stat.S_IMODE(seen.st_mode),
            version=version_of(seen),
            head=base64.b64encode(head).decode(),
        )


@contextmanager
def opened_file(workspace: Path, path: str) -> Iterator[int]:
    """Open a regular file for reading until the block ends. Raises NotFound and Invalid."""
    with _root(workspace) as root, _refusals():
        descriptor = _open_file(root, located(path))
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Invalid("The path is not a file.", code="not_a_file")
            yield descriptor
        finally:
            os.close(descriptor)


def _open_file(root: int, path: bytes) -> int:
    try:
        return open_below(root, path, READ)
    except OSError as error:
        if error.errno == errno.ELOOP and is_there(root, path):
            raise Invalid("The path is not a file.", code="not_a_file") from None
        raise


def refuse_if_written(descriptor: int, seen: os.stat_result) -> None:
    """Raise FileChanging when the open file was written since. A new name or mode changes no content."""
    now = os.fstat(descriptor)
    if (now.st_size, now.st_mtime_ns) != (seen.st_size, seen.st_mtime_ns):
        raise FileChanging


def version_of(seen: os.stat_result) -> str:
    """Return a text that changes whenever the file's content may have changed."""
    return f"{seen.st_ino:x}-{seen.st_size:x}-{seen.st_mtime_ns:x}-{seen.st_ctime_ns:x}"


def located(path: str) -> bytes:
    """Return the bytes of a path below the workspace; empty for the workspace itself. Raises Invalid."""
    if not path:
        return b""
    try:
        found = path_bytes(path)
    except BadManifest:
        raise Invalid("The path cannot be decoded.", code="bad_path") from None
    if not is_safe_path(found) or found.partition(b"/")[0] == STAGING.encode():
        raise Invalid("The path is not one below the workspace.", code="bad_path")
    return found


@contextmanager
def _root(workspace: Path) -> Iterator[int]:
    root = open_root(os.fsencode(workspace))
    try:
        yield root
    finally:
        os.close(root)


@contextmanager
def _folder(workspace: Path, folder: bytes) -> Iterator[int]:
    with _root(workspace) as root, _refusals(), opened(root, folder, FOLDER) as at:
        yield at


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SUCH:
            raise NotFound("The workspace has no such path.", code="unknown_path") from None
        if error.errno in _NO_FILE:
            raise Invalid("The path is not a file.", code="not_a_file") from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise Invalid("The agent's account may not read this path.", code="not_readable") from None
        raise


def _names(at: int, *, is_root: bool) -> Iterator[_Listed]:
    with os.scandir(at) as listing:
        for entry in listing:
            if is_root and entry.name == STAGING:
                continue
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder or entry.is_symlink() or entry.is_file(follow_symlinks=False):
                yield not is_folder, path_text(os.fsencode(entry.name)), entry.name


def _joined(folder: bytes, name: _Listed) -> bytes:
    return folder + b"/" + os.fsencode(name[2]) if folder else os.fsencode(name[2])


def _item(at: int, folder: bytes, name: _Listed) -> LiveItem | None:
    """Describe an item; None when it has gone since the folder was listed."""
    try:
        seen = os.stat(name[2], dir_fd=at, follow_symlinks=False)
        target = os.fsencode(os.readlink(name[2], dir_fd=at)) if stat.S_ISLNK(seen.st_mode) else None
    except OSError:
        return None
    is_file = stat.S_ISREG(seen.st_mode)
    return LiveItem(
        path=path_text(_joined(folder, name)),
        kind="folder" if stat.S_ISDIR(seen.st_mode) else "file" if is_file else "symlink",
        mtime_ns=time_within(seen.st_mtime_ns),
        mode=stat.S_IMODE(seen.st_mode),
        size=seen.st_size if is_file else None,
        target=None if target is None else path_text(target),
    )
