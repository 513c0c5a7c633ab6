"""Hold the human requests of an attempt that wait for an answer, bounded in number and bytes.

Whoever shows a session reads all its open requests at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import UUID

from schema.events import HumanRequested
from schema.executor_api import Answer

MOST_AT_ONCE = 100
"""Requests that an agent may have open at once."""
MOST_BYTES = 8 << 20
"""An agent whose open requests have so many bytes asks no further one."""
NO_ROOM = (
    f"The request was left out: an agent has at most {MOST_AT_ONCE} open requests, of {MOST_BYTES >> 20} MiB before "
    "the last one."
)


@dataclass(frozen=True)
class _Open:
    answered: asyncio.Future[Answer]
    size: int


class OpenRequests:
    """The open requests of one attempt, by their ids."""

    def __init__(self) -> None:
        self._open: dict[UUID, _Open] = {}

    def __len__(self) -> int:
        return len(self._open)

    @property
    def unanswered(self) -> list[UUID]:
        return [request_id for request_id, request in self._open.items() if not request.answered.done()]

    @property
    def has_room(self) -> bool:
        return len(self._open) < MOST_AT_ONCE and sum(request.size for request in self._open.values()) < MOST_BYTES

    def add(self, request: HumanRequested) -> asyncio.Future[Answer]:
        """Return what will have the answer."""
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._open[request.request_id] = _Open(answered, len(request.model_dump_json()))
        return answered

    def remove(self, request_id: UUID) -> None:
        del self._open[request_id]

    def answer(self, answer: Answer) -> None:
        """Give the answer to the request that waits for it. Ignored when none waits."""
        request = self._open.get(answer.request_id)
        if request is not None and not request.answered.done():
            request.answered.set_result(answer)
