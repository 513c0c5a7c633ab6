"""Name the objects in the store. A session's objects share one prefix that no other object has."""

from __future__ import annotations

import re
from uuid import UUID

_CONTENT = re.compile(r"sessions/[0-9a-f-]{36}/(?:packs|parts)/[0-9a-f]{64}")


def session_prefix(session_id: UUID) -> str:
    """Return the prefix of a session's objects."""
    return f"sessions/{session_id}/"


def pack_key(session_id: UUID, digest: str) -> str:
    """Return the key of a pack: many small files, compressed together. `digest` is the SHA-256 of the object's
    bytes."""
    return f"{session_prefix(session_id)}packs/{digest}"


def part_key(session_id: UUID, digest: str) -> str:
    """Return the key of a part of one large file. `digest` is the SHA-256 of the object's bytes."""
    return f"{session_prefix(session_id)}parts/{digest}"


def manifest_key(session_id: UUID, snapshot_id: UUID) -> str:
    """Return the key of a snapshot's manifest."""
    return f"{session_prefix(session_id)}snapshots/{snapshot_id}"


def live_file_key(session_id: UUID, read_id: UUID) -> str:
    """Return the key of bytes of a live file, put there for one download. No snapshot names it, so that garbage
    collection deletes it."""
    return f"{session_prefix(session_id)}live/{read_id}"


def incoming_key(session_id: UUID, save_id: UUID, key: str) -> str:
    """Return the name under which one save uploads the object of this key, where a store cannot refuse to overwrite.

    No other save uses the name, and no snapshot.
    """
    return f"{session_prefix(session_id)}incoming/{save_id}/{key.removeprefix(session_prefix(session_id))}"


def is_content_key(session_id: UUID, key: str) -> bool:
    """Tell whether the key names a pack or a part of this session. A manifest comes from a worker and may claim
    anything."""
    return key.startswith(session_prefix(session_id)) and _CONTENT.fullmatch(key) is not None
