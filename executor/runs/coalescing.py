"""Hold events before they have a number, and join consecutive text deltas of one message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from uuid import UUID, uuid4

from schema.events import MessageDelta
from schema.wire import Wire

WINDOW_SECONDS = 0.05
WINDOW_BYTES = 64 * 1024


@dataclass(frozen=True)
class Draft:
    """Hold one event before it has a number."""

    type: str
    data: Wire
    id: UUID = field(default_factory=uuid4)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def text_bytes(self) -> int | None:
        """Return the size of a delta's text in UTF-8 bytes, or None for any other event, which is never joined."""
        return len(self.data.text.encode("utf-8", "replace")) if isinstance(self.data, MessageDelta) else None


def coalesce(drafts: Iterable[Draft]) -> list[Draft]:
    """Return the events in order, with consecutive deltas of one message joined up to WINDOW_BYTES of text."""
    return [_join(group) for _, run in groupby(drafts, key=_join_key) for group in _split_by_size(run)]


def _join_key(draft: Draft) -> object:
    """Return a key that consecutive events share when they may be joined. An event other than a delta has its own
    key."""
    return (draft.data.message_id, draft.data.role) if isinstance(draft.data, MessageDelta) else draft.id


def _split_by_size(drafts: Iterable[Draft]) -> Iterator[list[Draft]]:
    group: list[Draft] = []
    size = 0
    for draft in drafts:
        length = draft.text_bytes or 0
        if group and size + length > WINDOW_BYTES:
            yield group
            group, size = [], 0
        group.append(draft)
        size += length
    if group:
        yield group


def _join(group: list[Draft]) -> Draft:
    first = group[0]
    if len(group) == 1 or not isinstance(first.data, MessageDelta):
        return first
    text = "".join(draft.data.text for draft in group if isinstance(draft.data, MessageDelta))
    return replace(first, data=first.data.model_copy(update={"text": text}))
