"""List a snapshot's folders and find its files. Paths are compared with the manifest's entries and never joined.

A path is the manifest's text (schema/snapshot_manifest.py): itself, or `base64:...` when its bytes are not UTF-8. The
root folder is the empty path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from schema.errors import Invalid, NotFound
from schema.snapshot_manifest import (
    ENCODED,
    BadManifest,
    Entry,
    File,
    Folder,
    HardLink,
    LargeFile,
    Manifest,
    Symlink,
    is_safe_path,
    path_bytes,
    path_text,
)
from schema.workspace_api import Root

FileKind = Literal["file", "folder", "symlink"]
Content = File | LargeFile
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LINK_MODE = 0o777


@dataclass(frozen=True)
class FileItem:
    """An entry of a folder. `size` in bytes of a file, `target` of a symbolic link; `mode` are permission bits."""

    name: str
    path: str
    kind: FileKind
    mtime: datetime
    mode: int
    size: int | None = None
    target: str | None = None


class SnapshotTree:
    """The entries of one root of a snapshot by folder: folders first, names in order. It never changes."""

    def __init__(self, manifest: Manifest, root: Root) -> None:
        self.root = root
        self.manifest = manifest
        self._children: dict[str, list[Entry]] = {"": []}
        for entry in manifest.entries(root):
            folder = split_path(entry.path)[0]
            self._children.setdefault(folder, []).append(entry)
            if isinstance(entry, Folder):
                self._children.setdefault(entry.path, [])
        for entries in self._children.values():
            entries.sort(key=_order)
        targets = {entry.target for entry in manifest.entries(root) if isinstance(entry, HardLink)}
        self._linked: dict[str, Content] = {
            entry.path: entry
            for entry in manifest.entries(root)
            if isinstance(entry, File | LargeFile) and entry.path in targets
        }

    def __len__(self) -> int:
        return len(self.manifest.entries(self.root))

    def page(self, folder: str, *, after: tuple[bool, str] | None, limit: int) -> list[FileItem]:
        """Return a folder's items after the (is no folder, name) of the previous page's last item. Raises NotFound."""
        children = self._children.get(folder)
        if children is None:
            raise _no_such("folder")
        start = 0 if after is None else _first_after(children, after)
        return [self.item(entry) for entry in children[start : start + limit]]

    def entry(self, path: str) -> Entry:
        """Return the entry at a path. Raises NotFound."""
        children = self._children.get(split_path(path)[0], [])
        found = next((entry for entry in children if entry.path == path), None)
        if found is None:
            raise _no_such("path")
        return found

    def content(self, path: str) -> Content:
        """Return the file at a path; of a hard link its target. Raises NotFound, and Invalid for no file."""
        entry = self.entry(path)
        if isinstance(entry, HardLink):
            return self.linked(entry)
        if not isinstance(entry, File | LargeFile):
            raise Invalid("The path is not a file.", code="not_a_file")
        return entry

    def linked(self, link: HardLink) -> Content:
        """Return the file that a hard link names."""
        return self._linked[link.target]

    def has_folder(self, folder: str) -> bool:
        return folder in self._children

    def below(self, folder: str) -> Iterator[Entry]:
        """Yield everything below a folder, each folder before its content."""
        waiting = [folder]
        while waiting:
            for entry in self._children[waiting.pop()]:
                yield entry
                if isinstance(entry, Folder):
                    waiting.append(entry.path)

    def item(self, entry: Entry) -> FileItem:
        """Describe an entry. A hard link is the file that it names."""
        name = split_path(entry.path)[1]
        match entry:
            case HardLink():
                target = self.linked(entry)
                return FileItem(name, entry.path, "file", moment(target.mtime_ns), target.mode, size=target.size)
            case Folder():
                return FileItem(name, entry.path, "folder", moment(entry.mtime_ns), entry.mode)
            case Symlink():
                return FileItem(name, entry.path, "symlink", moment(entry.mtime_ns), _LINK_MODE, target=entry.target)
            case _:
                return FileItem(name, entry.path, "file", moment(entry.mtime_ns), entry.mode, size=entry.size)


def read_path(text: str) -> str:
    """Return the path of a request as the manifest spells it; the root is empty. Raises Invalid for any other form."""
    trimmed = text if text.startswith(ENCODED) else text.strip("/")
    if trimmed in ("", "."):
        return ""
    try:
        path = path_bytes(trimmed)
    except BadManifest as error:
        raise Invalid("The path cannot be decoded.", code="bad_path") from error
    if path_text(path) != trimmed or not is_safe_path(path):
        raise Invalid("The path is not one below its root.", code="bad_path")
    return trimmed


def split_path(path: str) -> tuple[str, str]:
    """Return the folder and the name of a path, both as texts of their own."""
    if not path.startswith(ENCODED):
        folder, _, name = path.rpartition("/")
        return folder, name
    folder_bytes, _, name_bytes = path_bytes(path).rpartition(b"/")
    return path_text(folder_bytes), path_text(name_bytes)


def moment(mtime_ns: int) -> datetime:
    """Return a time of the manifest, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=mtime_ns // 1000)


def _order(entry: Entry) -> tuple[bool, str]:
    return not isinstance(entry, Folder), split_path(entry.path)[1]


def _first_after(children: list[Entry], after: tuple[bool, str]) -> int:
    low, high = 0, len(children)
    while low < high:
        middle = (low + high) // 2
        if _order(children[middle]) <= after:
            low = middle + 1
        else:
            high = middle
    return low


def _no_such(what: str) -> NotFound:
    return NotFound(f"The snapshot has no such {what}.", code="unknown_path")
