"""Saves and collections of one session in any order, by job workers that stand still and lose their turns."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial

import pytest

from handlers.workers.rows import announce_presence
from jobs.context import TaskContext
from jobs.object_store.contract import StoredObject, UploadTerms, WriteFeatures
from jobs.object_store.s3 import Bucket
from jobs.workspaces.collect_garbage import collect_garbage
from jobs.workspaces.sync import save_due, sync_workspace
from tests.checker import check
from tests.integration.jobs.workspaces.conftest import Session, due_jobs
from tests.integration.jobs.workspaces.saver import Saver
from tests.integration.jobs.workspaces.test_saving import save_all, why
from tests.object_stores import RunningStore
from tests.thoroughness import FULL, SEED, times


@dataclass
class SlowToDelete:
    """The bucket of a collector that may stand still just before it deletes."""

    real: Bucket
    before_delete: Callable[[], object]

    def download_link(self, key: str, seconds: float | None = None) -> str:
        return self.real.download_link(key, seconds)

    def upload_link(self, key: str, terms: UploadTerms, seconds: float | None = None) -> str:
        return self.real.upload_link(key, terms, seconds)

    def write_features(self) -> WriteFeatures:
        return self.real.write_features()

    def find(self, keys: Collection[str]) -> dict[str, StoredObject]:
        return self.real.find(keys)

    def copy(self, source: StoredObject, key: str) -> str:
        return self.real.copy(source, key)

    def read(self, key: str) -> bytes:
        return self.real.read(key)

    def fault(self) -> str | None:
        return self.real.fault()

    def list(self, prefix: str) -> Iterator[StoredObject]:
        return iter(self.real.list(prefix))

    def delete(self, keys: Collection[str]) -> None:
        self.before_delete()
        self.real.delete(keys)


@dataclass
class Chaos:
    """Saves and collections of one session by two job workers at once, in any order; turns run out at any time."""

    shops: list[TaskContext]
    session: Session
    saver: Saver
    dice: random.Random
    outcomes: list[str] = field(default_factory=list)
    deleted: int = 0

    def change(self) -> None:
        """The files of a run: new ones, fewer, or those of an earlier save again."""
        kind = self.dice.choice(["write", "write", "delete", "back"])
        if kind == "write":
            self.saver.files[self.dice.choice("abcdef")] = b"%d" % self.dice.randrange(3)
        elif kind == "delete" and self.saver.files:
            self.saver.files.pop(self.dice.choice(sorted(self.saver.files)))
        elif self.saver.saved:
            self.saver.files = dict(self.dice.choice(list(self.saver.saved.values()))[0])
        self.session.conn.execute(
            "DELETE FROM snapshots WHERE id NOT IN (SELECT head_snapshot FROM session_workers) AND random() < 0.5"
        )
        self.session.run()

    def lose_turn_sometimes(self, *_: object) -> None:
        if self.dice.random() < 0.2:
            self.session.expire_turn()

    def stand_still_sometimes(self) -> None:
        """Longer than the turn, while another saves the session from begin to end."""
        if self.dice.random() < 0.5:
            self.session.expire_turn()
            self.save(self.shops[0])

    def round(self, pool: ThreadPoolExecutor) -> None:
        self.change()
        acts: list[Callable[[], object]] = []
        for context in self.shops:
            acts += [partial(self.collect, context), partial(self.save, context)]
        self.dice.shuffle(acts)
        for done in [pool.submit(act) for act in acts]:
            done.result(60)
        if self.dice.random() < 0.5:  # among the others a save may find the session always taken
            self.save(self.shops[0])

    def collect(self, context: TaskContext) -> None:
        self.deleted += collect_garbage(context).deleted

    def save(self, context: TaskContext) -> None:
        with context.database.dedicated() as conn:
            conn.execute("UPDATE session_workers SET next_sync_at = now()")
            save_due(context)
            jobs = due_jobs(conn)
        self.outcomes += [sync_workspace(context, *job) for job in jobs]


@pytest.mark.timeout(times(180, 3600))
def test_no_object_that_a_snapshot_names_is_ever_deleted(
    make_saving_context: Callable[..., TaskContext],
    session: Session,
    saver: Saver,
    bucket: Bucket,
    object_store: RunningStore,
    database: str,
) -> None:
    print(f"RUNYARD_TEST_SEED={SEED}")
    chaos = Chaos([], session, saver, random.Random(SEED if FULL else 11))
    slow = SlowToDelete(bucket, chaos.stand_still_sometimes)
    chaos.shops = [replace(make_saving_context(garbage_grace_hours=0), store=slow) for _ in range(2)]
    saver.before_put = chaos.lose_turn_sometimes
    with ExitStack() as present:
        pool = present.enter_context(ThreadPoolExecutor(4))
        for context in chaos.shops:
            assert announce_presence(present.enter_context(context.database.dedicated()), context.claimer)
        for _ in range(times(40, 1000)):
            chaos.round(pool)
            check(database, stored=object_store.keys())
    assert chaos.outcomes.count("saved") > 3, chaos.outcomes
    assert chaos.deleted > 0
    saver.before_put = str
    session.expire_turn()
    session.run()
    assert save_all(make_saving_context(), session) == ["saved"]
    assert why(session) is None
