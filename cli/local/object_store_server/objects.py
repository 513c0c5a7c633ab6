"""Objects on disk: their bytes in files, their names in SQLite. What a change has returned from is on the disk.

A file is written under a name that is used once, synced, and only then named by a row; so an object is replaced whole
or not at all. Files without a row are what a kill left of unfinished changes: they are deleted at the next start.
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
"""No key has this character; behind a prefix it stands after all keys with that prefix."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, created REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL REFERENCES buckets (name), key TEXT NOT NULL, file TEXT NOT NULL, size INTEGER NOT NULL,
    etag TEXT NOT NULL, modified REAL NOT NULL, headers TEXT NOT NULL, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
"""
SPARE_BYTES = 4 * 1024 * 1024
COLUMNS = "key, file, size, etag, modified, headers"


class FolderInUse(Exception):
    """Another server has this folder."""


@dataclass(frozen=True)
class ListedObject:
    """An object: `size` in bytes, `etag` the MD5 of its bytes in hexadecimal, `modified` in seconds since 1970,
    `headers` what it was stored with."""

    key: str
    file: str
    size: int
    etag: str
    modified: float
    headers: Mapping[str, str]


@dataclass(frozen=True)
class ListingPage:
    """A part of a listing; `after` is where the next one begins, None at the end."""

    objects: list[ListedObject]
    prefixes: list[str]
    after: str | None


class ObjectFolder:
    """All that is in one folder, from `open` to `close`. Every method may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        """Raises FolderInUse."""
        self._bytes = folder / "bytes"
        self._bytes.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._held = _hold(folder / "lock")
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
        os.close(self._held)

    def has_bucket(self, bucket: str) -> bool:
        return self._one("SELECT 1 FROM buckets WHERE name = ?", bucket) is not None

    def buckets(self) -> list[tuple[str, float]]:
        with self._lock:
            return self._rows.execute("SELECT name, created FROM buckets ORDER BY name").fetchall()

    def make_bucket(self, bucket: str) -> bool:
        """False when it was there already."""
        with self._change() as rows:
            made = rows.execute("INSERT OR IGNORE INTO buckets VALUES (?, ?)", (bucket, time.time()))
            return made.rowcount == 1

    def remove_bucket(self, bucket: str) -> bool:
        """False when something is in it."""
        try:
            with self._change() as rows:
                rows.execute("DELETE FROM buckets WHERE name = ?", (bucket,))
        except sqlite3.IntegrityError:
            return False
        return True

    def draft(self) -> Path:
        """A place for the bytes of a new object; write them, then `put`, or unlink it."""
        name = secrets.token_hex(16)
        folder = self._bytes / name[:2]
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / name

    def put(
        self, bucket: str, key: str, *, draft: Path, etag: str, headers: Mapping[str, str], only_if_absent: bool
    ) -> bool:
        """Name the synced bytes of `draft`, which is gone when they were not named. False, with nothing changed, when
        there is an object already and must not be."""
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
            before = _file_of(rows, bucket, key)
            rows.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        self._unlink(before)
        return True

    def _unlink_unnamed(self, bucket: str, key: str, draft: Path) -> None:
        """Should the disk not even say whether a row names it, the next start finds out."""
        with suppress(sqlite3.Error, OSError):
            found = self.find(bucket, key)
            if found is None or found.file != draft.name:
                draft.unlink(missing_ok=True)

    def find(self, bucket: str, key: str) -> ListedObject | None:
        row = self._one(f"SELECT {COLUMNS} FROM objects WHERE bucket = ? AND key = ?", bucket, key)  # noqa: S608
        return None if row is None else _found(row)

    def open(self, bucket: str, key: str) -> tuple[ListedObject, int] | None:
        """The object and a descriptor to read it from, which outlives its deletion."""
        while (found := self.find(bucket, key)) is not None:
            try:
                return found, os.open(self._path(found.file), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                if self.find(bucket, key) == found:
                    raise
        return None

    def remove(self, bucket: str, key: str) -> None:
        """Also when the disk is full: to take a name away needs a little space too, which is kept for that."""
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
            before = _file_of(rows, bucket, key)
            rows.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, key))
        self._unlink(before)

    def page(self, bucket: str, *, prefix: str, delimiter: str, after: str, limit: int) -> ListingPage:
        """At most `limit` objects and common prefixes, in the order of their names, behind `after`."""
        objects: list[ListedObject] = []
        prefixes: list[str] = []
        while True:
            room = limit - len(objects) - len(prefixes)
            rows = self._behind(bucket, prefix=prefix, after=after, limit=room + 1)
            for found in rows:
                if len(objects) + len(prefixes) == limit:
                    return ListingPage(objects, prefixes, after)
                shared = _shared(found.key, prefix=prefix, delimiter=delimiter)
                if shared is not None:
                    prefixes.append(shared)
                    after = shared + LAST
                    break
                objects.append(found)
                after = found.key
            else:
                return ListingPage(objects, prefixes, None)

    def _behind(self, bucket: str, *, prefix: str, after: str, limit: int) -> list[ListedObject]:
        with self._lock:
            rows = self._rows.execute(
                f"SELECT {COLUMNS} FROM objects WHERE bucket = ? AND key > ? AND key >= ? AND key < ?"  # noqa: S608
                " ORDER BY key LIMIT ?",
                (bucket, after, prefix, prefix + LAST, limit),
            ).fetchall()
        return [_found(row) for row in rows]

    def _one(self, statement: str, *values: str) -> tuple[object, ...] | None:
        with self._lock:
            row: tuple[object, ...] | None = self._rows.execute(statement, values).fetchone()
            return row

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """One durable transaction."""
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
        """What cannot be unlinked now has no row, so the next start does it."""
        if file is not None:
            with suppress(OSError):
                self._path(file).unlink()

    def _remove_unnamed(self) -> None:
        named = {row[0] for row in self._rows.execute("SELECT file FROM objects")}
        for path in self._bytes.glob("*/*"):
            if path.name not in named:
                path.unlink()


def sync_folder(folder: Path) -> None:
    """A name in a folder is on the disk once the folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _hold(file: Path) -> int:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise FolderInUse(f"{file.parent} is served by another process.") from error
    return descriptor


def _file_of(rows: sqlite3.Connection, bucket: str, key: str) -> str | None:
    row = rows.execute("SELECT file FROM objects WHERE bucket = ? AND key = ?", (bucket, key)).fetchone()
    return None if row is None else str(row[0])


def _found(row: tuple[object, ...]) -> ListedObject:
    key, file, size, etag, modified, headers = row
    return ListedObject(str(key), str(file), int(str(size)), str(etag), float(str(modified)), json.loads(str(headers)))


def _shared(key: str, *, prefix: str, delimiter: str) -> str | None:
    """The part of the key up to the first delimiter behind the prefix, if there is one."""
    head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
    return f"{prefix}{head}{found}" if found else None
