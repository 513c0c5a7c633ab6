"""What a session's log ought to be, told by rules of its own: no code of Runyard's decides anything here."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal
from uuid import UUID

from schema.wire import Json

Status = Literal["queued", "starting", "running", "waiting", "cancelling", "succeeded", "failed", "cancelled"]
ENDED = ("succeeded", "failed", "cancelled")
LIVE = ("starting", "running", "waiting", "cancelling")


@dataclass(eq=False)
class Source:
    """What reports one attempt: `said` is all that it ever said, in order; the first `stored` of it are in the log."""

    run: Run
    attempt: int
    epoch: int
    key: str
    is_numbered: bool = True
    said: list[Json] = field(default_factory=list)
    stored: int = 0
    stored_ids: set[str] = field(default_factory=set)


@dataclass(eq=False)
class Run:
    id: UUID
    session: Session
    status: Status
    max_attempts: int
    is_bound: bool = False
    attempt: int = 0
    was_delivered: bool = False
    sources: list[Source] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Requests that wait for a person."""

    @property
    def source(self) -> Source:
        return self.sources[-1]

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    def end(self, status: Status) -> None:
        self.status = "cancelled" if self.status == "cancelling" else status
        self.asked.clear()
        if self in self.session.queue:
            self.session.queue.remove(self)

    def lose_attempt(self) -> None:
        """The agent is gone: another attempt if there is one left, else the end."""
        if self.status == "cancelling" or self.is_bound or self.attempt >= self.max_attempts:
            self.end("failed")
        else:
            self.status = "queued"
            self.asked.clear()

    def stop(self) -> None:
        if self.status == "queued":
            self.end("cancelled")
        elif not self.has_ended:
            self.status = "cancelling"


@dataclass(eq=False)
class Session:
    """`told` is what sources said and the log took, in order: (id, whether it was late)."""

    id: UUID
    runs: list[Run] = field(default_factory=list)
    queue: list[Run] = field(default_factory=list)
    """All that have not ended, in the order of their turns, what is live first."""
    told: list[tuple[str, bool]] = field(default_factory=list)

    @property
    def live(self) -> Run | None:
        return next((run for run in self.queue if run.status in LIVE), None)

    @property
    def next(self) -> Run | None:
        """The run whose turn it is."""
        return None if self.live or not self.queue else self.queue[0]


@dataclass(frozen=True)
class Verdict:
    """What a call ought to be answered: the code of the refusal, or how many events are new."""

    code: str = ""
    fresh: tuple[Json, ...] = ()


def verdict(source: Source, events: list[Json], *, epoch: int) -> Verdict:
    """By the rules for callbacks."""
    run = source.run
    if epoch != source.epoch:
        return Verdict("stale_epoch")
    if source is not run.source or run.status == "queued":
        return Verdict("stale_attempt")
    return _numbered(source, events) if source.is_numbered else _by_id(source, events)


def _numbered(source: Source, events: list[Json]) -> Verdict:
    numbers = [event["n"] for event in events]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        return Verdict("gap")
    fresh = [event for event in events if event["n"] > source.stored]
    if any(event["n"] != source.stored + 1 + i for i, event in enumerate(fresh)):
        return Verdict("gap")
    if any(event["n"] <= source.stored and source.said[event["n"] - 1]["id"] != event["id"] for event in events):
        return Verdict("n_conflict")
    return Verdict(fresh=tuple(fresh))


def _by_id(source: Source, events: list[Json]) -> Verdict:
    fresh = {event["id"]: event for event in events if event["id"] not in source.stored_ids}
    return Verdict(fresh=tuple(fresh.values()))


def take(source: Source, fresh: tuple[Json, ...]) -> None:
    """The log has taken these."""
    for event in fresh:
        is_late = source.run.has_ended or source.run.status == "queued"
        source.run.session.told.append((event["id"], is_late))
        source.stored_ids.add(event["id"])
        source.stored += 1
        if source.is_numbered:
            source.said[event["n"] - 1] = event  # as it was told first, maybe under another id
        if not is_late:
            _happen(source.run, event)


def _happen(run: Run, event: Json) -> None:
    if event["type"] == "run.started" and run.status == "starting":
        run.status, run.was_delivered = "running", True
    elif event["type"] == "run.finished":
        run.end(event["data"]["status"])
    elif event["type"] == "run.warning" and event["data"]["code"] == "agent_lost":
        run.lose_attempt()
    elif event["type"] == "human_loop.requested":
        run.asked.append(event["data"]["requestId"])
        run.status = "waiting" if run.status == "running" else run.status
