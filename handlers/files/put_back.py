"""Put a file or folder of a snapshot back: decide what changes, refuse a session that is not quiesced, and log it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal
from uuid import UUID

from handlers.event_log import NewEvent, append, hold_session
from handlers.files.tree import SnapshotTree, split_path
from schema.errors import Conflict, NotFound, SessionBusy
from schema.rows import RunRow
from schema.snapshot_manifest import Entry, File, Folder, HardLink, LargeFile, Symlink
from schema.sql import Conn, execute, fetch_all
from schema.wire import Json

WhenMissing = Literal["refuse", "remove"]
TOP = "."


class PathTaken(Conflict):
    """A folder is where the older state has a file. Move the folder away first: it may hold files that are never
    saved."""

    code: ClassVar[str] = "path_taken"


@dataclass(frozen=True)
class PutBack:
    """The changes that make a path again as an older snapshot has it.

    `restored` are paths to take from it, `deleted` those that it lacks, `emptied` folders that it lacks: they go when
    nothing is left in them, which no snapshot may know.
    """

    restored: list[str]
    deleted: list[str]
    emptied: list[str]

    def plan(self) -> Json:
        """Return the restore plan: everything else stays."""
        entries = [
            {"root": "workspace", "path": TOP, "action": "keep", "reason": "in_place"},
            *({"root": "workspace", "path": path, "action": "delete", "reason": "put_back"} for path in self.deleted),
            *({"root": "workspace", "path": path, "action": "restore", "reason": "put_back"} for path in self.restored),
        ]
        return {"layers": [{"layer": "L2", "entries": entries}], "contents": {}}


def plan_put_back(now: SnapshotTree, old: SnapshotTree, path: str, *, when_missing: WhenMissing) -> PutBack:
    """Compare the path in both states. Raises NotFound when the older one lacks it, unless it is then to be removed;
    and PathTaken."""
    there, wanted = _at(now, path), _at(old, path)
    if not wanted and (when_missing == "refuse" or not there):
        raise NotFound("The older state has no such path.", code="unknown_path")
    taken = next((name for name in wanted if _is_taken(there.get(name), wanted[name])), None)
    if taken is not None:
        raise PathTaken(paths=[taken])
    changed = [name for name, entry in wanted.items() if _differs(now, there.get(name), old, entry)]
    gone = [name for name in there if name not in wanted]
    return PutBack(
        restored=changed,
        deleted=[name for name in gone if not isinstance(there[name], Folder)],
        emptied=sorted((name for name in gone if isinstance(there[name], Folder)), key=_depth, reverse=True),
    )


def refuse_unless_at_rest(conn: Conn, session_id: UUID) -> None:
    """Raise SessionBusy while a run of the session is live or queued. A bound run works elsewhere."""
    busy = next(
        (run for run in fetch_all(conn, "unsettled_runs_of_session", RunRow, session_id=session_id) if not run.bound),
        None,
    )
    if busy is not None:
        raise SessionBusy(
            f"A run of the session is {busy.status}. Stop it or wait for its end, then put the files back.",
            runId=str(busy.id),
        )


def begin_put_back(conn: Conn, session_id: UUID) -> None:
    """Mark the workspace as changed before the first file is, if the session is quiesced. Raises SessionBusy."""
    hold_session(conn, session_id)
    refuse_unless_at_rest(conn, session_id)
    execute(conn, "mark_changed", session_id=session_id)


def log_put_back(conn: Conn, session_id: UUID, *, author: str, data: Json) -> None:
    """Tell in the log who put what back."""
    head = hold_session(conn, session_id)
    execute(conn, "mark_changed", session_id=session_id)
    append(conn, head, [NewEvent(type="workspace.put_back", data=data, author=author)])


def _at(tree: SnapshotTree, path: str) -> dict[str, Entry]:
    """Return the entry at a path and everything below it, each folder before its content."""
    try:
        entry = tree.entry(path)
    except NotFound:
        return {}
    below: Iterator[Entry] = tree.below(path) if isinstance(entry, Folder) else iter(())
    return {entry.path: entry, **{each.path: each for each in below}}


def _is_taken(there: Entry | None, wanted: Entry) -> bool:
    return isinstance(there, Folder) and not isinstance(wanted, Folder)


def _differs(now: SnapshotTree, there: Entry | None, old: SnapshotTree, wanted: Entry) -> bool:
    return there is None or _state(now, there) != _state(old, wanted)


def _state(tree: SnapshotTree, entry: Entry) -> tuple[object, ...]:
    if isinstance(entry, HardLink):
        entry = tree.linked(entry)
    match entry:
        case Symlink():
            return ("symlink", entry.target)
        case File() | LargeFile():
            return ("file", entry.size, entry.digest, entry.mode)
        case _:
            return ("folder",)


def _depth(path: str) -> int:
    depth = 0
    while path:
        path, depth = split_path(path)[0], depth + 1
    return depth
