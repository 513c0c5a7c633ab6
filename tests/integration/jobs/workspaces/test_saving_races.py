"""Many at once about saving one session: one snapshot at a time, and nothing that a run did counts as saved unseen."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from handlers.workspaces.sync import is_saved
from jobs.context import TaskContext
from jobs.workspaces.sync import NotSaved, save_due, save_now, sync_workspace
from schema.snapshot_manifest import read_snapshot_manifest
from tests.checker import check
from tests.integration.jobs.workspaces.conftest import Session, due_jobs
from tests.integration.jobs.workspaces.saver import Saver
from tests.object_stores import RunningStore
from tests.thoroughness import times

ROUNDS = times(8, 500)
pytestmark = pytest.mark.timeout(times(180, 3600))


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """All let go together; what each returned, or the NotSaved that it met."""
    gate = threading.Barrier(len(acts))

    def take_part(act: Callable[[], Any]) -> Any:
        gate.wait(30)
        try:
            return act()
        except NotSaved as error:
            return error

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(take_part, acts))


def sweep(context: TaskContext, dsn: str) -> list[str]:
    save_due(context)
    with psycopg.connect(dsn, autocommit=True) as conn:
        jobs = due_jobs(conn)
    return [sync_workspace(context, *job) for job in jobs]


def saved_files(session: Session, object_store: RunningStore) -> set[str]:
    """What the head's manifest names."""
    head = session.snapshots[-1]
    data = object_store.open().read(head.objects[-1])
    manifest = read_snapshot_manifest(data, session_id=session.id, snapshot_id=head.id, digest=head.manifest_digest)
    return {entry.path for entry in manifest.roots.workspace}


def test_sweeps_and_requests_of_several_job_workers_save_a_state_once(
    make_saving_context: Callable[..., TaskContext],
    session: Session,
    saver: Saver,
    database: str,
    object_store: RunningStore,
) -> None:
    one, two = make_saving_context(), make_saving_context()
    for number in range(ROUNDS):
        saver.files[f"file{number}"] = b"x"
        session.run()
        done = at_once(
            lambda: sweep(one, database),
            lambda: sweep(two, database),
            lambda: save_now(one, session.id, "stop"),
            lambda: save_now(two, session.id, "requested"),
        )
        assert not [each for each in done if isinstance(each, NotSaved)], done
        assert is_saved(session.conn, session.id)
        assert len(session.snapshots) == number + 1
    check(database, stored=object_store.keys())


def test_a_save_against_runs_that_begin_and_end_never_calls_unseen_work_saved(
    make_saving_context: Callable[..., TaskContext],
    session: Session,
    saver: Saver,
    database: str,
    object_store: RunningStore,
) -> None:
    context = make_saving_context()
    outcomes: Counter[bool] = Counter()
    for number in range(ROUNDS):
        session.run()

        def work(name: str = f"file{number}") -> None:
            run = session.begin_run()
            saver.files = {**saver.files, name: b"x"}
            session.end_run(run)

        at_once(work, lambda: save_now(context, session.id, "requested"), lambda: sweep(context, database))
        saved = is_saved(session.conn, session.id)
        outcomes[saved] += 1
        if saved:
            assert saved_files(session, object_store) == set(saver.files)
        session.make_due()
        sweep(context, database)
        assert is_saved(session.conn, session.id)
        assert saved_files(session, object_store) == set(saver.files)
    print(outcomes)
    check(database, stored=object_store.keys())


def test_a_zombie_of_an_older_epoch_never_lands_against_the_new_place(
    make_saving_context: Callable[..., TaskContext],
    session: Session,
    saver: Saver,
    database: str,
    object_store: RunningStore,
) -> None:
    old, new = make_saving_context(), make_saving_context()
    for number in range(ROUNDS):
        epoch = number + 2
        saver.files = {f"file{number}": b"x"}
        session.run()

        def move(epoch: int = epoch) -> None:
            with psycopg.connect(database) as conn:
                conn.execute("SELECT 1 FROM session_logs WHERE session_id = %s FOR UPDATE", (session.id,))
                conn.execute("UPDATE session_logs SET epoch = %s", (epoch,))
                conn.execute("UPDATE session_workers SET epoch = %s", (epoch,))
                conn.execute(
                    "INSERT INTO restores (session_id, epoch, state, receipt) VALUES (%s, %s, 'done', '{}')",
                    (session.id, epoch),
                )

        at_once(move, lambda: sweep(old, database))
        session.expire_turn()
        session.make_due()
        sweep(new, database)
        assert session.snapshots[-1].epoch in (epoch - 1, epoch)
        check(database, stored=object_store.keys())
