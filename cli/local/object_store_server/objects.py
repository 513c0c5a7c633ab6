"""Objects on disk: bytes in files, names in SQLite. A change is on the disk when its method returns.

`put` writes a file under a unique name and syncs it before a row names it, so an object is replaced atomically. A kill
can leave files without a row; the next start deletes them.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

LAST = "\U0010ffff"
"""No key has this character: a prefix with it sorts after all keys with that prefix."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, created REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL REFERENCES buckets (name), key TEXT NOT NULL, file TEXT NOT NULL, size INTEGER NOT NULL,
    etag TEXT NOT NULL, modified REAL NOT NULL, headers TEXT NOT NULL, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
"""
SPARE_BYTES = 4 * 1024 * 1024
COLUMNS = "key, file, size, etag, modified, headers"


class FolderInUse(Exception):
    """Another server process serves this folder."""


@dataclass(frozen=True)
class ListedObject:
    """An object: `size` in bytes, `etag` its MD5 in hexadecimal, `modified` in Unix seconds, `headers` as stored."""

    key: str
    file: str
    size: int
    etag: str
    modified: float
    headers: Mapping[str, str]


@dataclass(frozen=True)
class ListingPage:
    """A page of a listing; `after` is the key that the next page follows, None on the last page."""

    objects: list[ListedObject]
    prefixes: list[str]
    after: str | None


class ObjectFolder:
    """The buckets and objects of one folder. Every method is thread-safe."""

    def __init__(self, folder: Path) -> None:
        """Open the folder. Raise FolderInUse when another process serves it."""
        self._bytes = folder / "bytes"
        self._bytes.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock_descriptor = _lock_folder(folder / "lock")
        self._lock = threading.Lock()
        self._rows = sqlite3.connect(folder / "names.sqlite", check_same_thread=False, isolation_level=None)
        self._rows.execute("PRAGMA journal_mode = WAL")
        self._rows.execute("PRAGMA synchronous = FULL")
        self._rows.execute("PRAGMA foreign_keys = ON")
        self._rows.executescript(SCHEMA)
        self._remove_unnamed()
        self._spare = folder / "spare"
        if not self._spare.exists():
            self._keep_spare()

    def close(self) -> None:
        self._rows.close()
        os.close(self._lock_descriptor)

    def has_bucket(self, bucket: str) -> bool:
        return self._fetch_one("SELECT 1 FROM buckets WHERE name = ?", bucket) is not None

    def buckets(self) -> list[tuple[str, float]]:
        with self._lock:
            return self._rows.execute("SELECT name, created FROM buckets ORDER BY name").fetchall()

    def make_bucket(self, bucket: str) -> bool:
        """Create the bucket. Return False when it exists."""
        with self._change() as rows:
            made = rows.execute("INSERT OR IGNORE INTO buckets VALUES (?, ?)", (bucket, time.time()))
            return made.rowcount == 1

    def remove_bucket(self, bucket: str) -> bool:
        """Delete the bucket. Return False when it is not empty."""
        try:
            with self._change() as rows:
                rows.execute("DELETE FROM buckets WHERE name = ?", (bucket,))
        except sqlite3.IntegrityError:
            return False
        return True

    def draft(self) -> Path:
        """Return a path for a new object's bytes. The caller writes it, then calls `put` or unlinks it."""
        name = secrets.token_hex(16)
        folder = self._bytes / name[:2]
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / name

    def put(
        self, bucket: str, key: str, *, draft: Path, etag: str, headers: Mapping[str, str], only_if_absent: bool
    ) -> bool:
        """Make the synced bytes of `draft` the object. Delete the draft when that fails.

        Return False and change nothing when the object exists and `only_if_absent` is set.
        """
        is_named = False
        try:
            is_named = self._name(
                (bucket, key, draft.name, draft.stat().st_size, etag, time.time(), json.dumps(dict(headers))),
                only_if_absent=only_if_absent,
            )
        finally:
            if not is_named:
                self._unlink_unnamed(bucket, key, draft)
        return is_named

    def _name(self, row: tuple[str, str, str, int, str, float, str], *, only_if_absent: bool) -> bool:
        bucket, key, file = row[:3]
        sync_folder(self._path(file).parent)
        sync_folder(self._bytes)
        with self._change() as rows:
            if only_if_absent:
                done = rows.execute("INSERT OR IGNORE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)", row)
                return done.rowcount == 1
            old_file = _file_of(rows, bucket, key)
            rows.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        self._unlink(old_file)
        return True

    def _unlink_unnamed(self, bucket: str, key: str, draft: Path) -> None:
        """Delete an unnamed draft. When the disk fails here too, the next start deletes it."""
        with suppress(sqlite3.Error, OSError):
            listed = self.find(bucket, key)
            if listed is None or listed.file != draft.name:
                draft.unlink(missing_ok=True)

    def find(self, bucket: str, key: str) -> ListedObject | None:
        row = self._fetch_one(f"SELECT {COLUMNS} FROM objects WHERE bucket = ? AND key = ?", bucket, key)  # noqa: S608
        return None if row is None else _from_row(row)

    def open(self, bucket: str, key: str) -> tuple[ListedObject, int] | None:
        """Return the object and a descriptor that stays readable after a deletion; None when it does not exist."""
        while (listed := self.find(bucket, key)) is not None:
            try:
                return listed, os.open(self._path(listed.file), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                if self.find(bucket, key) == listed:
                    raise
        return None

    def remove(self, bucket: str, key: str) -> None:
        """Delete an object, on a full disk too: a spare file keeps the space that a deletion needs."""
        try:
            self._remove(bucket, key)
        except sqlite3.OperationalError:
            if not self._spare.exists():
                raise
            self._spare.unlink()
            self._remove(bucket, key)
        if not self._spare.exists():
            self._keep_spare()

    def _keep_spare(self) -> None:
        with suppress(OSError), self._spare.open("xb") as spare:
            try:
                os.posix_fallocate(spare.fileno(), 0, SPARE_BYTES)
            except OSError:
                self._spare.unlink()

    def _remove(self, bucket: str, key: str) -> None:
        with self._change() as rows:
            old_file = _file_of(rows, bucket, key)
            rows.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, key))
        self._unlink(old_file)

    def page(self, bucket: str, *, prefix: str, delimiter: str, after: str, limit: int) -> ListingPage:
        """Return at most `limit` objects and common prefixes that sort after `after`, in name order."""
        objects: list[ListedObject] = []
        prefixes: list[str] = []
        while True:
            room = limit - len(objects) - len(prefixes)
            rows = self._rows_after(bucket, prefix=prefix, after=after, limit=room + 1)
            for listed in rows:
                if len(objects) + len(prefixes) == limit:
                    return ListingPage(objects, prefixes, after)
                shared = _common_prefix(listed.key, prefix=prefix, delimiter=delimiter)
                if shared is not None:
                    prefixes.append(shared)
                    after = shared + LAST
                    break
                objects.append(listed)
                after = listed.key
            else:
                return ListingPage(objects, prefixes, None)

    def _rows_after(self, bucket: str, *, prefix: str, after: str, limit: int) -> list[ListedObject]:
        with self._lock:
            rows = self._rows.execute(
                f"SELECT {COLUMNS} FROM objects WHERE bucket = ? AND key > ? AND key >= ? AND key < ?"  # noqa: S608
                " ORDER BY key LIMIT ?",
                (bucket, after, prefix, prefix + LAST, limit),
            ).fetchall()
        return [_from_row(row) for row in rows]

    def _fetch_one(self, statement: str, *values: str) -> tuple[object, ...] | None:
        with self._lock:
            row: tuple[object, ...] | None = self._rows.execute(statement, values).fetchone()
            return row

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """Run one durable transaction."""
        with self._lock:
            self._rows.execute("BEGIN IMMEDIATE")
            try:
                yield self._rows
                self._rows.execute("COMMIT")
            except BaseException:
                if self._rows.in_transaction:
                    self._rows.execute("ROLLBACK")
                raise

    def _path(self, file: str) -> Path:
        return self._bytes / file[:2] / file

    def _unlink(self, file: str | None) -> None:
        """Delete a file without a row. When that fails, the next start deletes it."""
        if file is not None:
            with suppress(OSError):
                self._path(file).unlink()

    def _remove_unnamed(self) -> None:
        named = {row[0] for row in self._rows.execute("SELECT file FROM objects")}
        for path in self._bytes.glob("*/*"):
            if path.name not in named:
                path.unlink()


def sync_folder(folder: Path) -> None:
    """Sync a folder: a file name is on the disk once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock_folder(file: Path) -> int:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise FolderInUse(f"Another process serves {file.parent}. Stop it first.") from error
    return descriptor


def _file_of(rows: sqlite3.Connection, bucket: str, key: str) -> str | None:
    row = rows.execute("SELECT file FROM objects WHERE bucket = ? AND key = ?", (bucket, key)).fetchone()
    return None if row is None else str(row[0])


def _from_row(row: tuple[object, ...]) -> ListedObject:
    key, file, size, etag, modified, headers = row
    return ListedObject(str(key), str(file), int(str(size)), str(etag), float(str(modified)), json.loads(str(headers)))


def _common_prefix(key: str, *, prefix: str, delimiter: str) -> str | None:
    """Return the key up to the first delimiter after the prefix; None when there is no delimiter."""
    head, separator, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
    return f"{prefix}{head}{separator}" if separator else None
