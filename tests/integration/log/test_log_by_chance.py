"""Whatever sources send and whoever reads meanwhile: the log has no gap, each event once, and every reader all of it.

Hypothesis chooses what happens; a model with rules of its own (model.py) says what ought to come of it.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from schema.wire import Json
from tests.integration.functions.conftest import wait_until
from tests.integration.log.laws import broken_laws
from tests.integration.log.model import Run, Session, Source, take, verdict
from tests.integration.log.readers import Reader, SocketReader, StreamReader
from tests.integration.log.world import World, event
from tests.thoroughness import by_chance, chances, times

MANY_SESSIONS = 3
MANY_READERS = 8
KINDS = ["message.delta"] * 6 + ["weather.changed", "human_loop.requested", "run.finished", "run.failed", "run.warning"]
TWISTS = ["none"] * 5 + ["hole", "swapped", "doubled", "other id", "epoch", "old attempt", "key"]
picks = st.integers(0, 10**6)
"""Chooses among what is there at the moment."""


class Log(RuleBasedStateMachine):
    """`read` are the readers that are there now, each with what it reads: a session or a run."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.sessions: list[Session] = []
        self.read: list[tuple[Session | Run, Reader]] = []

    @property
    def runs(self) -> list[Run]:
        return [run for session in self.sessions for run in session.runs]

    @property
    def sources(self) -> list[Source]:
        return [source for run in self.runs for source in run.sources]

    @initialize()
    def begin(self) -> None:
        self.open_session()

    @precondition(lambda self: len(self.sessions) < MANY_SESSIONS)
    @rule()
    def open_session(self) -> None:
        status, session = self.world.post("/api/sessions", {"title": "by chance"})
        assert status == 201
        self.sessions.append(Session(UUID(session["sessionId"])))

    @rule(pick=picks, multitask=st.sampled_from(["enqueue", "enqueue", "reject", "interrupt"]))
    def start_a_run(self, pick: int, multitask: str) -> None:
        session = chosen(self.sessions, pick)
        body = {
            "prompt": "go",
            "sessionId": str(session.id),
            "multitask": multitask,
            "maxAttempts": 2,
            "provider": "demo",
        }
        status, answer = self.world.post("/api/runs/start", body)
        if multitask == "reject" and session.queue:
            assert (status, answer["code"]) == (409, "session_busy")
            return
        assert status == 202
        run = Run(UUID(answer["runId"]), session, "queued", max_attempts=2)
        session.runs.append(run)
        place = len(session.queue)
        if multitask == "interrupt":
            for begun in [each for each in session.queue if each.status != "queued" or each.attempt]:
                begun.stop()
            place = 1 if session.live else 0
        session.queue.insert(place, run)
        assert answer["queuePosition"] == place

    @rule(pick=picks, is_numbered=st.booleans())
    def bind_a_run(self, pick: int, is_numbered: bool) -> None:  # noqa: FBT001  hypothesis gives it by name
        session = chosen(self.sessions, pick)
        status, bound = self.world.post(
            f"/api/runs/{new_id()}/bind", {"provider": "else", "sessionId": str(session.id)}
        )
        if session.queue:
            assert (status, bound["code"]) == (409, "session_busy")
            return
        assert status == 201
        run = Run(UUID(bound["runId"]), session, "running", max_attempts=1, is_bound=True, attempt=1)
        run.sources.append(Source(run, 1, bound["epoch"], bound["callbackKey"], is_numbered))
        session.runs.append(run)
        session.queue.append(run)

    @precondition(lambda self: any(run.status == "queued" for run in self.runs))
    @rule(pick=picks)
    def claim_a_run(self, pick: int) -> None:
        run = chosen([run for run in self.runs if run.status == "queued"], pick)
        is_next = run.session.next is run
        claimed = self.world.claim(run.id)
        assert (claimed is not None) == is_next
        if claimed is None:
            return
        run.attempt += 1
        run.status = "starting"
        assert claimed[0] == run.attempt
        run.sources.append(Source(run, *claimed))
        event(run.source, "run.started")

    @precondition(lambda self: self.sources)
    @rule(
        pick=picks,
        kinds=st.lists(st.sampled_from(KINDS), max_size=6),
        back=st.integers(0, 8),
        keep=st.integers(0, 3),
        twist=st.sampled_from(TWISTS),
    )
    def report(self, pick: int, kinds: list[str], back: int, keep: int, twist: str) -> None:
        """A call that says new things, repeats some that were stored, leaves some for later, or is twisted."""
        source = chosen(self.sources, pick)
        for kind in kinds:
            event(source, kind)
        said = source.said[max(0, source.stored - back) : max(source.stored, len(source.said) - keep)]
        self.send(source, said, twist)

    @precondition(lambda self: self.sources)
    @rule(pick=picks, order=st.randoms(use_true_random=False), count=st.integers(0, 12))
    def report_anything(self, pick: int, order: Any, count: int) -> None:
        """Any of what the source ever said, in any order."""
        source = chosen(self.sources, pick)
        self.send(source, [order.choice(source.said) for _ in range(count if source.said else 0)], "none")

    def send(self, source: Source, said: list[Json], twist: str) -> None:
        events, epoch, sent_as = twisted(source, list(said), twist)
        status, answer = self.world.report(sent_as, events, epoch=epoch)
        if twist == "key":
            assert (status, answer["code"]) == (401, "bad_signature")
            return
        expected = verdict(sent_as, events, epoch=epoch)
        assert (answer.get("code", ""), status) == (expected.code, 409 if expected.code else 200)
        if expected.code == "gap":
            assert answer["expected"] == sent_as.stored + 1
        if not expected.code:
            take(sent_as, expected.fresh)
            repeated = len(events) - len(expected.fresh)
            assert (answer["accepted"], answer["duplicates"]) == (len(expected.fresh), repeated)
            assert answer["lastSeq"] == self.world.last_seq(source.run.session.id)

    @precondition(lambda self: self.runs)
    @rule(pick=picks)
    def stop_a_run(self, pick: int) -> None:
        run = chosen(self.runs, pick)
        run.stop()
        status, answer = self.world.post(f"/api/runs/{run.id}/stop", {})
        assert (status, answer["status"]) == (200 if run.has_ended else 202, run.status)

    @precondition(lambda self: any(run.asked for run in self.runs))
    @rule(pick=picks)
    def answer_a_request(self, pick: int) -> None:
        run = chosen([run for run in self.runs if run.asked], pick)
        answer = {"requestId": run.asked.pop(), "decision": "allow"}
        if run.status == "waiting" and not run.asked:
            run.status = "running"
        assert self.world.post("/api/human-loop/reply", answer)[0] == 200
        assert self.world.post("/api/human-loop/reply", answer)[1]["code"] == "already_answered"

    @precondition(lambda self: any(session.live for session in self.sessions))
    @rule(pick=picks)
    def lose_an_executor(self, pick: int) -> None:
        run = chosen([session.live for session in self.sessions if session.live], pick)
        self.world.give_up(run.id)
        run.lose_attempt()

    @precondition(lambda self: len(self.read) < MANY_READERS)
    @rule(pick=picks, part=st.floats(0, 1))
    def read_a_session(self, pick: int, part: float) -> None:
        session = chosen(self.sessions, pick)
        after = int(part * self.world.last_seq(session.id))
        self.read.append((session, SocketReader(self.world.teller, session.id, after)))

    @precondition(lambda self: self.runs and len(self.read) < MANY_READERS)
    @rule(pick=picks, part=st.floats(0, 1))
    def read_a_run(self, pick: int, part: float) -> None:
        run = chosen(self.runs, pick)
        after = int(part * self.world.last_seq(run.session.id))
        self.read.append((run, StreamReader(self.world.teller, run.id, after)))

    @precondition(lambda self: self.read)
    @rule(pick=picks, rudely=st.booleans(), comes_back=st.booleans())
    def leave(self, pick: int, rudely: bool, comes_back: bool) -> None:  # noqa: FBT001  hypothesis gives them by name
        """Some come back with the cursor that they have reached."""
        what, reader = self.read.pop(pick % len(self.read))
        reader.leave(rudely=rudely)
        rest = self.rest(what, reader.after)
        assert reader.seqs == rest[: len(reader.seqs)]
        if comes_back:
            after = reader.seqs[-1] if reader.seqs else reader.after
            again = SocketReader if isinstance(what, Session) else StreamReader
            self.read.append((what, again(self.world.teller, what.id, after)))

    @rule(whom=st.sampled_from([("runyard listen",), ("runyard notify",), ("runyard listen", "runyard notify"), ()]))
    def cut(self, whom: tuple[str, ...]) -> None:
        """What carries the hints is lost, or every connection of both servers."""
        self.world.cut_connections(*whom)

    @invariant()
    def holds_what_was_told(self) -> None:
        for session in self.sessions:
            assert self.world.told(session.id) == session.told
            assert broken_laws(self.world.conn, session.id) == []
        for run in self.runs:
            assert self.world.status(run.id) == run.status

    def rest(self, what: Session | Run, after: int) -> list[int]:
        """What a reader with this cursor ought to get."""
        if isinstance(what, Session):
            return list(range(after + 1, self.world.last_seq(what.id) + 1))
        seqs: list[int] = []
        for seq, is_end in self.world.seqs_of_run(what.id):
            if seq > after:
                seqs.append(seq)
                if is_end:
                    break
        return seqs

    def has_ended_by(self, run: Run, seq: int) -> bool:
        return any(is_end and at <= seq for at, is_end in self.world.seqs_of_run(run.id))

    def teardown(self) -> None:
        """Every reader that is still there gets all of it."""
        try:
            for what, reader in self.read:
                rest = self.rest(what, reader.after)
                if isinstance(what, Run) and self.has_ended_by(what, reader.after):
                    # such a stream gives what late events there are, and ends
                    wait_until(
                        lambda reader=reader: reader.has_ended,  # type: ignore[misc]
                        seconds=30,
                        what=lambda: "the stream does not end",
                    )
                    assert reader.seqs == rest[: len(reader.seqs)]
                    continue
                wait_until(
                    lambda reader=reader, rest=rest: len(reader.seqs) >= len(rest),  # type: ignore[misc]
                    seconds=30,
                    what=lambda reader=reader, rest=rest: f"{reader.seqs} became {rest}",  # type: ignore[misc]
                )
                assert reader.seqs == rest
        finally:
            for _, reader in self.read:
                reader.leave(rudely=True)


def new_id() -> str:
    return str(uuid4())


def chosen(among: list[Any], pick: int) -> Any:
    return among[pick % len(among)]


def twisted(source: Source, events: list[Json], twist: str) -> tuple[list[Json], int, Source]:
    """The call with what is wrong about it: its events, its epoch, and in whose name it is sent."""
    epoch, sent_as = source.epoch, source
    if twist == "hole" and len(events) > 1:
        del events[len(events) // 2]
    elif twist == "swapped":
        events.reverse()
    elif twist == "doubled":
        events += events
    elif twist == "other id" and events:
        events[0] = {**events[0], "id": new_id()}
    elif twist == "epoch":
        epoch += 1
    elif twist == "old attempt":
        sent_as = source.run.sources[0]
        events = list(sent_as.said)
    elif twist == "key":
        sent_as = Source(source.run, source.attempt + 1, source.epoch, source.key)
    return events, epoch, sent_as


@pytest.mark.both_postgres
@pytest.mark.timeout(times(180, 4 * 3600))
def test_every_event_is_there_once_and_every_reader_gets_it(world: World) -> None:
    class LogHere(Log):
        pass

    LogHere.world = world
    run_state_machine_as_test(by_chance(LogHere), settings=chances(12, 1000, steps=40))
