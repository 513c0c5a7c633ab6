"""An executor with its agent in small, for tests of what people are asked: what it was given, has told, and will say.

It keeps what a real one keeps on its disk (`spool`, `taken`), and forgets the rest when it is killed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID, uuid4

from handlers.runs.claim import Claimed
from schema.events import SourceEvent
from schema.executor_api import Answer
from schema.wire import Json
from tests.integration.handlers.conftest import event

OPTIONS = [
    {"optionId": "yes", "name": "Allow", "kind": "allow_once"},
    {"optionId": "always", "name": "Always", "kind": "allow_always"},
    {"optionId": "no", "name": "Reject", "kind": "reject_once"},
]


@dataclass
class Told:
    """What agents were told, over all attempts: one list of verdicts a request."""

    verdicts: dict[UUID, list[str]] = field(default_factory=dict)

    def tell(self, answer: Answer) -> None:
        self.verdicts.setdefault(answer.request_id, []).append(answer.decision)


@dataclass
class ExecutorModel:
    """One attempt. `asking` are the calls that wait, by their fingerprint."""

    claimed: Claimed
    told: Told
    n: int = 0
    spool: list[SourceEvent] = field(default_factory=list)
    taken: dict[UUID, Answer] = field(default_factory=dict)
    untold: list[Answer] = field(default_factory=list)
    asking: dict[UUID, str] = field(default_factory=dict)
    is_alive: bool = True

    def __post_init__(self) -> None:
        self.carried = list(self.claimed.answers)
        self.say("run.started", {"provider": "demo", "agentSessionId": "conversation-1"})

    def say(self, type_: str, data: Json) -> None:
        self.n += 1
        self.spool.append(event(self.n, type_, data))

    def ask(self, call: str) -> None:
        """With a carried answer to the same call nobody is asked; after another call there are none any more."""
        match = next((one for one in self.carried if one.fingerprint == call), None)
        if match is not None:
            self.carried.remove(match)
            self.taken[match.request_id] = match.answer
            self.untold.append(match.answer)
            return
        self.void_carried()
        request_id = uuid4()
        self.asking[request_id] = call
        data = {"requestId": str(request_id), "kind": "permission", "title": call, "fingerprint": call}
        self.say("human_loop.requested", {**data, "options": OPTIONS})

    def take(self, answer: Answer) -> bool:
        """False: nobody waits for it here."""
        if answer.request_id in self.taken:
            return True
        if not self.is_alive or self.asking.pop(answer.request_id, None) is None:
            return False
        self.taken[answer.request_id] = answer
        self.untold.append(answer)
        return True

    def tell(self) -> None:
        """The agent gets an answer, and then it is written down that it did."""
        answer = self.untold.pop(0)
        self.told.tell(answer)
        self.applied(answer.request_id, "applied", answer.decision)

    def tell_without_a_word(self) -> None:
        """As `tell`, and killed before it is written down."""
        self.told.tell(self.untold.pop(0))
        self.kill()

    def applied(self, request_id: UUID, outcome: str, told: str) -> None:
        self.say("human_loop.applied", {"requestId": str(request_id), "outcome": outcome, "told": told})

    def void_carried(self) -> None:
        for one in self.carried:
            self.applied(one.request_id, "void", "nothing")
        self.carried.clear()

    def finish(self) -> None:
        self.void_carried()
        self.say("run.finished", {"status": "succeeded"})
        self.end()

    def end(self) -> None:
        self.is_alive = False
        self.asking.clear()
        self.untold.clear()

    def kill(self) -> None:
        """And started again: it reports the agent as lost, and what it may have been told."""
        self.end()
        data = {"code": "agent_lost", "message": "gone", "taken": [str(each) for each in self.taken]}
        self.say("run.warning", data)
