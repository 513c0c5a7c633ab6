"""Keep uploads until a snapshot holds them, and say which runs they are attached to.

The row has the bytes from the request to the first snapshot that holds the file. So an upload survives the loss of a
worker, and needs none. One that the app's rules leave out of every snapshot stays in its row.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from handlers.access.permissions import Actor, session_for
from handlers.event_log import NewEvent, append, hold_session
from schema.errors import Conflict, Invalid
from schema.sql import Conn, execute, fetch_all, fetch_one, fetch_value

FOLDER = "uploads"
MOST_WAITING = 100
MOST_WAITING_BYTES = 256 << 20
MOST_NAME_BYTES = 200
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f/\\:*?\"<>|\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffd]")


class UploadsWaiting(Conflict):
    """Too many uploads wait to be saved. Start a run, or wait until the session is saved."""

    code: ClassVar[str] = "uploads_waiting"


@dataclass(frozen=True)
class Upload:
    """An upload; `path` is below the workspace, `size` in bytes."""

    id: UUID
    session_id: UUID
    path: str
    mime_type: str
    size: int


@dataclass(frozen=True)
class UploadToPlace:
    id: UUID
    path: str


def keep_upload(conn: Conn, actor: Actor, session_id: UUID, *, name: str, mime_type: str, content: bytes) -> Upload:
    """Keep the bytes and choose their path, in a folder of its own, so that no file is ever replaced.

    Raises NotFound and UploadsWaiting.
    """
    session_for(conn, actor, session_id)
    hold_session(conn, session_id)
    kept = fetch_one(
        conn,
        "insert_upload",
        Upload,
        session_id=session_id,
        user_id=actor.user_id,
        path=f"{FOLDER}/{secrets.token_hex(4)}/{file_name(name)}",
        mime_type=mime_type,
        size=len(content),
        content=content,
        most=MOST_WAITING,
        most_bytes=MOST_WAITING_BYTES,
    )
    if kept is None:
        raise UploadsWaiting
    return kept


def file_name(name: str) -> str:
    """Return the last name of a client's path, without characters that mislead people or systems."""
    last = re.split(r"[/\\]", name)[-1]
    cleaned = _UNSAFE.sub("_", last).strip(". ")
    stem, dot, suffix = cleaned.rpartition(".")
    if len(cleaned.encode()) > MOST_NAME_BYTES:
        suffix = suffix.encode()[:20].decode(errors="ignore") if dot else ""
        room = MOST_NAME_BYTES - len(suffix.encode()) - 1
        cleaned = f"{(stem or cleaned).encode()[:room].decode(errors='ignore')}{dot}{suffix}"
    return cleaned or "file"


def uploads_to_place(conn: Conn, session_id: UUID, *, epoch: int) -> list[UploadToPlace]:
    """Return the uploads that the volume of this epoch does not hold yet."""
    return fetch_all(conn, "uploads_to_place", UploadToPlace, session_id=session_id, epoch=epoch)


def uploads_to_forget(conn: Conn, session_id: UUID, *, epoch: int, seq: int) -> list[UploadToPlace]:
    """Return the kept uploads that a committed save of this epoch, begun at `seq`, should hold."""
    return fetch_all(conn, "uploads_to_forget", UploadToPlace, session_id=session_id, epoch=epoch, seq=seq)


def forget_uploads(conn: Conn, uploads: Iterable[UploadToPlace]) -> None:
    """Drop the bytes of uploads that a snapshot holds."""
    execute(conn, "forget_uploads", ids=[upload.id for upload in uploads])


def upload_content(conn: Conn, upload_id: UUID) -> bytes | None:
    """Return the bytes; None when a snapshot holds them by now."""
    content = fetch_value(conn, "upload_content", id=upload_id)
    return None if content is None else bytes(content)


def upload_placed(conn: Conn, session_id: UUID, upload_id: UUID, *, epoch: int) -> None:
    """Record that the volume holds the file: it is an unsaved change, and the log tells it once."""
    head = hold_session(conn, session_id)
    placed = fetch_one(conn, "mark_upload_placed", Upload, id=upload_id, epoch=epoch, seq=head.last_seq + 1)
    if placed is None:
        return
    execute(conn, "mark_changed", session_id=session_id)
    data = {"path": placed.path, "size": placed.size, "mimeType": placed.mime_type}
    append(conn, head, [NewEvent(type="workspace.uploaded", data=data, run_id=head.run_id)])


def attach(conn: Conn, run_id: UUID, session_id: UUID, paths: Sequence[str]) -> None:
    """Attach uploads of the session to a run, in this order. Raises Invalid for a path that no upload has."""
    if not paths:
        return
    known = {
        upload.path: upload.id
        for upload in fetch_all(conn, "uploads_by_path", Upload, session_id=session_id, paths=list(paths))
    }
    unknown = next((path for path in paths if path not in known), None)
    if unknown is not None:
        raise Invalid(f"The session has no upload {unknown!r}.", code="unknown_attachment")
    execute(conn, "insert_attachments", run_id=run_id, upload_ids=[known[path] for path in dict.fromkeys(paths)])


def attachments_of(conn: Conn, run_id: UUID) -> list[Upload]:
    return fetch_all(conn, "attachments_of_run", Upload, run_id=run_id)
