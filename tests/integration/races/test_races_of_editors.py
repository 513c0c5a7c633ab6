"""Fifty people edit one session's queue at once: nothing is lost, doubled, or overwritten unseen."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import psycopg
import pytest

from handlers.access.permissions import Actor
from handlers.event_log import append, hold_session
from handlers.runs.claim import claim_run
from handlers.runs.queue import QueueEdit, QueuePosition, edit_queued, remove_queued
from handlers.runs.settle import finish
from handlers.runs.start import Start, start_run
from schema.errors import NotQueued, StaleRevision
from schema.events import RunFinished
from schema.options import RunOptions
from schema.rows import RunRow
from schema.sql import Conn, fetch_the
from tests.integration.handlers.conftest import STOP, TRACEPARENT, StartOne, claim, run_now
from tests.integration.log.laws import broken_laws
from tests.thoroughness import times

EDITORS = 50
ACTS = times(8, 100)
SEEN = """SELECT id, revision FROM runs WHERE session_id = %s AND status = 'queued' AND attempt = 0"""
pytestmark = pytest.mark.timeout(times(180, 3600))


@dataclass
class Editor:
    """Does one thing after the other, and remembers what was accepted."""

    conn: psycopg.Connection
    actor: Actor
    session_id: UUID
    chance: random.Random
    added: list[UUID] = field(default_factory=list)
    removed: set[UUID] = field(default_factory=set)
    edited: list[tuple[UUID, int, str | None]] = field(default_factory=list)
    """(run, the revision that came of it, the prompt if that was changed)"""
    refused: Counter[str] = field(default_factory=Counter)

    def act(self) -> None:
        act = self.chance.choice([self.add, self.add, self.reword, self.move, self.move, self.remove])
        try:
            with self.conn.transaction():
                act()
        except (StaleRevision, NotQueued) as error:
            self.refused[error.problem_code] += 1

    def add(self) -> None:
        wanted = Start(
            prompt="as added",
            session_id=self.session_id,
            options=RunOptions(),
            max_attempts=3,
            traceparent=TRACEPARENT,
        )
        self.added.append(start_run(self.conn, self.actor, wanted, stop_policy=STOP).run.id)

    def reword(self) -> None:
        for run_id, revision in self.some(1):
            prompt = f"{revision} by {id(self)}"
            item = edit_queued(self.conn, self.actor, run_id, QueueEdit(revision=revision, prompt=prompt))
            self.edited.append((run_id, item.revision, prompt))

    def move(self) -> None:
        seen = self.some(2)
        if len(seen) == 2:
            (run_id, revision), (other, _) = seen
            places = [
                QueuePosition("first"),
                QueuePosition("last"),
                QueuePosition("before", other),
                QueuePosition("after", other),
            ]
            edit = QueueEdit(revision=revision, place=self.chance.choice(places))
            item = edit_queued(self.conn, self.actor, run_id, edit)
            self.edited.append((run_id, item.revision, None))

    def remove(self) -> None:
        for run_id, revision in self.some(1):
            remove_queued(self.conn, self.actor, run_id, revision=revision)
            self.removed.add(run_id)

    def some(self, count: int) -> list[tuple[UUID, int]]:
        """Runs as this editor sees them now; others may be quicker."""
        seen = self.conn.execute(SEEN, (self.session_id,)).fetchall()
        return self.chance.sample(seen, min(count, len(seen)))


@pytest.fixture
def session_id(conn: Conn, start: StartOne) -> UUID:
    """Of a run that lives."""
    run = start("live").run
    assert claim(conn, run.id) is not None
    return run.session_id


@pytest.fixture
def editors(database: str, actor: Actor, session_id: UUID) -> Iterator[list[Editor]]:
    conns = [psycopg.connect(database, autocommit=True) for _ in range(EDITORS)]
    yield [Editor(conn, actor, session_id, random.Random(n)) for n, conn in enumerate(conns)]
    for conn in conns:
        conn.close()


def all_edit(editors: list[Editor]) -> None:
    gate = threading.Barrier(EDITORS)

    def edit(editor: Editor) -> None:
        gate.wait(30)
        for _ in range(ACTS):
            editor.act()

    with ThreadPoolExecutor(EDITORS) as pool:
        for done in [pool.submit(edit, editor) for editor in editors]:
            done.result(150)


def ids(conn: Conn, session_id: UUID, where: str) -> list[UUID]:
    found = conn.execute(f"SELECT id FROM runs WHERE session_id = %s AND {where} ORDER BY position", (session_id,))
    return [row[0] for row in found]


def assert_every_edit_is_there(conn: Conn, editors: list[Editor], run_ids: list[UUID]) -> None:
    """One edit a revision, and the last words stand."""
    edits = sorted((edit for editor in editors for edit in editor.edited), key=lambda edit: edit[1])
    for run_id in run_ids:
        mine = [edit for edit in edits if edit[0] == run_id]
        run = run_now(conn, run_id)
        assert [revision for _, revision, _ in mine] == list(range(2, run.revision + 1))
        assert run.prompt == next((prompt for _, _, prompt in reversed(mine) if prompt), "as added")


def replayed(conn: Conn, session_id: UUID) -> list[UUID]:
    """The queue as somebody has it who only reads the log. The live run is before all."""
    queue: list[UUID] = []
    log = "SELECT run_id, type, data FROM run_events WHERE session_id = %s ORDER BY seq OFFSET 1"
    for run_id, type_, data in conn.execute(log, (session_id,)).fetchall():
        if type_ == "run.finished" or data.get("moved"):
            queue.remove(run_id)
        if type_ == "run.queued" or data.get("moved"):
            queue.insert(data["queuePosition"] - 1, run_id)
        if type_ == "run.queue_edited":
            assert queue[data["queuePosition"] - 1] == run_id
    return queue


def test_a_queue_that_fifty_edit_loses_and_doubles_nothing(conn: Conn, session_id: UUID, editors: list[Editor]) -> None:
    all_edit(editors)
    added = {run_id for editor in editors for run_id in editor.added}
    removed = set().union(*(editor.removed for editor in editors))
    queued = ids(conn, session_id, "status = 'queued'")
    assert len(queued) == len(set(queued))
    assert set(queued) == added - removed
    assert set(ids(conn, session_id, "status = 'cancelled'")) == removed
    assert_every_edit_is_there(conn, editors, [*queued, *removed])
    assert replayed(conn, session_id) == queued
    assert broken_laws(conn, session_id) == []


@contextmanager
def worked_off(database: str, session_id: UUID) -> Iterator[list[RunRow]]:
    """Meanwhile the session's runs are done one after the other, as a job worker would; with what each began."""
    done: list[RunRow] = []
    ending = threading.Event()

    def work() -> None:
        with psycopg.connect(database, autocommit=True) as conn:
            while not ending.is_set():
                for run_id in ids(conn, session_id, "finished_at IS NULL")[:1]:
                    with conn.transaction():
                        claimed = claim_run(conn, run_id, owner="test", lock_seconds=60)
                    if claimed is not None:
                        done.append(claimed.run)
                        end(conn, claimed.run)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield done
    finally:
        ending.set()
        thread.join()


def end(conn: Conn, run: RunRow) -> None:
    with conn.transaction():
        head = hold_session(conn, run.session_id)
        conn.execute("UPDATE runs SET status = 'running' WHERE id = %s", (run.id,))
        append(conn, head, finish(conn, run_now(conn, run.id), RunFinished(status="succeeded")))


def test_what_fifty_edit_while_it_is_worked_off_is_done_once_as_it_was_edited_last(
    conn: Conn, database: str, session_id: UUID, editors: list[Editor]
) -> None:
    [live] = ids(conn, session_id, "status = 'starting'")
    end(conn, fetch_the(conn, "run_by_id", RunRow, run_id=live))
    with worked_off(database, session_id) as done:
        all_edit(editors)
    added = {run_id for editor in editors for run_id in editor.added}
    removed = set().union(*(editor.removed for editor in editors))
    began = [run.id for run in done]
    assert len(began) == len(set(began))
    assert {*began, *removed, *ids(conn, session_id, "status = 'queued'")} == added
    assert not set(began) & removed
    assert {run.id: (run.prompt, run.revision) for run in done} == {
        run.id: (now.prompt, now.revision) for run in done for now in [run_now(conn, run.id)]
    }
    assert_every_edit_is_there(conn, editors, sorted(added))
    assert broken_laws(conn, session_id) == []
