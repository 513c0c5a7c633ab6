"""Hide secret values in every event of a turn, whoever worded it, before the event is stored."""

from __future__ import annotations

from typing import TypeVar

from executor.agents.text import Redaction
from executor.agents.turn import Listener
from schema.events import HumanRequested, RunStarted
from schema.executor_api import Answer
from schema.wire import Wire

T = TypeVar("T", bound=Wire)


class MaskedListener:
    """Pass a turn's events and questions on to the turn's listener, without secret values."""

    def __init__(self, listener: Listener, redaction: Redaction) -> None:
        self._listener = listener
        self._redaction = redaction

    def say(self, type_: str, data: Wire) -> None:
        self._listener.say(type_, masked(data, self._redaction))

    def say_late(self, type_: str, data: Wire) -> None:
        self._listener.say_late(type_, masked(data, self._redaction))

    async def begin(self, started: RunStarted) -> None:
        await self._listener.begin(masked(started, self._redaction))

    async def ask(self, request: HumanRequested) -> Answer | None:
        return await self._listener.ask(masked(request, self._redaction))


def masked(data: T, redaction: Redaction) -> T:
    """Return the message without secret values; the same object when it holds none."""
    try:
        message = data.to_json()
    except (ValueError, RecursionError):  # it cannot be stored either, which executor/runs/sanitize.py reports
        return data
    hidden = redaction.hide_json(message)
    return data if hidden is message else type(data).model_validate(hidden)
