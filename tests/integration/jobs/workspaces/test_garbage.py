"""What no snapshot names is deleted after its grace, and what one names never is, whatever goes on meanwhile."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from handlers.workers.rows import announce_presence
from handlers.workspaces.garbage import GarbageRules, Listed, mark_for_deletion
from handlers.workspaces.sync import take_sync_lease
from jobs.context import TaskContext
from jobs.object_store.s3 import Bucket
from jobs.workspaces.collect_garbage import collect_garbage
from jobs.workspaces.sync import save_now
from schema.object_keys import pack_key, session_prefix
from tests.checker import check
from tests.integration.jobs.workspaces.conftest import Session
from tests.integration.jobs.workspaces.saver import Saver, contents
from tests.integration.jobs.workspaces.test_saving import save_all, why
from tests.object_stores import RunningStore
from tests.store_faults import HurtStore

GRACE = GarbageRules(grace_seconds=0, kept_days=7)


@pytest.fixture
def context(make_saving_context: Callable[..., TaskContext]) -> TaskContext:
    """Without a grace period: what is garbage at the second look is deleted then."""
    return make_saving_context(garbage_grace_hours=0)


def orphan(bucket: Bucket, session: Session) -> str:
    """A pack of a save that came to nothing."""
    key = pack_key(session.id, random.randbytes(32).hex())
    bucket.write(key, b"nobody's")
    return key


def age(session: Session, *, hours: float) -> None:
    """All that is marked was marked that long ago."""
    session.conn.execute("UPDATE unreferenced_objects SET marked_at = marked_at - make_interval(hours => %s)", (hours,))


def named(session: Session) -> set[str]:
    return {key for snapshot in session.snapshots for key in snapshot.objects}


def test_what_no_snapshot_names_goes_after_its_grace(
    make_saving_context: Callable[..., TaskContext],
    session: Session,
    saver: Saver,
    object_store: RunningStore,
    bucket: Bucket,
) -> None:
    """The packs of a save that was killed before its manifest."""
    context = make_saving_context()
    saver.files = contents("abc")
    session.run()
    save_all(context, session)
    key = orphan(bucket, session)
    assert collect_garbage(context).deleted == 0
    age(session, hours=23)
    assert collect_garbage(context).deleted == 0
    age(session, hours=1)
    assert collect_garbage(context).deleted == 1
    assert not object_store.open().sizes([key])
    assert object_store.keys() == named(session)
    assert session.conn.execute("SELECT 1 FROM unreferenced_objects").fetchall() == []


def test_what_was_written_again_gets_its_grace_again(
    make_saving_context: Callable[..., TaskContext], session: Session, saver: Saver, bucket: Bucket
) -> None:
    context = make_saving_context()
    saver.files = contents("a")
    session.run()
    save_all(context, session)
    key = orphan(bucket, session)
    collect_garbage(context)
    age(session, hours=25)
    session.conn.execute("UPDATE unreferenced_objects SET last_modified = last_modified - interval '1 s'")
    assert bucket.sizes([key])
    assert collect_garbage(context).deleted == 0


def test_what_a_snapshot_names_again_is_not_garbage_any_more(
    make_saving_context: Callable[..., TaskContext], session: Session, saver: Saver, object_store: RunningStore
) -> None:
    context = make_saving_context()
    saver.files = contents("a")
    session.run()
    saver.before_put = lambda key: session.expire_turn() if "/snapshots/" in key else None
    session.conn.execute("UPDATE session_workers SET epoch = 1")
    save_all(context, session)
    session.conn.execute("DELETE FROM snapshots WHERE id <> (SELECT head_snapshot FROM session_workers)")
    saver.before_put = str
    collect_garbage(context)
    age(session, hours=25)
    saver.files = contents("ab")
    session.run()
    save_all(context, session)
    collect_garbage(context)
    assert named(session) <= object_store.keys()


def test_a_save_in_the_middle_of_a_run_goes_once_one_at_rest_has_followed(
    context: TaskContext, session: Session, saver: Saver, object_store: RunningStore, database: str
) -> None:
    run = session.begin_run()
    for number in range(3):
        saver.files = {"same": b"same", "changing": b"%d" % number}
        session.stop_message(run)
        session.make_due()
        save_all(context, session)
    assert len(session.snapshots) == 3
    assert collect_garbage(context).retired == 0
    saver.files = {"same": b"same", "changing": b"last"}
    session.end_run(run)
    save_all(context, session)
    assert collect_garbage(context).retired == 3
    assert [snapshot.number for snapshot in session.snapshots] == [4]
    collect_garbage(context)
    assert object_store.keys() == named(session)
    check(database, stored=object_store.keys())


def test_old_saves_in_the_middle_of_a_run_go_but_not_the_last_of_a_run_nor_what_was_restored_from(
    context: TaskContext, session: Session, saver: Saver
) -> None:
    for letter in "xy":
        run = session.begin_run()
        for number in range(3):
            saver.files = {letter: b"%d" % number}
            session.stop_message(run)
            session.make_due()
            save_all(context, session)
        session.end_run(run)
        session.conn.execute("UPDATE session_workers SET next_sync_at = NULL")  # never saved while quiesced
    first = session.snapshots[0]
    session.conn.execute("UPDATE snapshots SET created_at = created_at - interval '8 days'")
    session.conn.execute(
        "INSERT INTO restores (session_id, epoch, snapshot_id) VALUES (%s, 1, %s)", (session.id, first.id)
    )
    assert collect_garbage(context).retired == 3
    assert [snapshot.number for snapshot in session.snapshots] == [1, 3, 6]


def test_a_store_that_fails_leaves_garbage_for_the_next_time(
    context: TaskContext, session: Session, saver: Saver, hurt_store: HurtStore, object_store: RunningStore
) -> None:
    saver.files = contents("abc")
    session.run()
    save_all(context, session)
    orphan(object_store.open(), session)
    for method in ("GET", "POST"):
        hurt_store.fail(status=403, method=method, times=None)
        assert collect_garbage(context).failed == 1
        hurt_store.heal()
    assert why(session) is None, "the turn was given back"
    assert collect_garbage(context).deleted == 1
    assert object_store.keys() == named(session)


def test_a_collection_that_failed_does_not_hinder_saves_for_longer_than_until_the_next_one(
    make_saving_context: Callable[..., TaskContext],
    session: Session,
    saver: Saver,
    hurt_store: HurtStore,
    object_store: RunningStore,
) -> None:
    """What was to be deleted is saved again meanwhile."""
    context = make_saving_context()
    for files in ("ab", "a"):
        saver.files = contents(files)
        session.run()
        save_all(context, session)
    session.conn.execute("DELETE FROM snapshots WHERE number = 1")
    collect_garbage(context)
    age(session, hours=25)
    with context.database.dedicated() as presence:
        assert announce_presence(presence, context.claimer)
        hurt_store.fail(status=403, method="POST", times=None)
        assert collect_garbage(context).failed == 1
        hurt_store.heal()
        saver.files = contents("ab")
        session.run()
        assert save_all(context, session) == ["failed"], "the deletion may still be on its way"
        session.conn.execute("UPDATE unreferenced_objects SET last_modified = last_modified - interval '1 s'")
        collect_garbage(context)
        session.make_due()
        assert save_all(context, session) == ["saved"]
        age(session, hours=25)
        collect_garbage(context)
        assert named(session) <= object_store.keys()


def test_other_sessions_objects_are_not_looked_at(
    context: TaskContext, make_session: Callable[[], Session], saver: Saver, object_store: RunningStore, bucket: Bucket
) -> None:
    one, other = make_session(), make_session()
    saver.files = contents("a")
    for each in (one, other):
        each.run()
    save_now(context, one.id, "requested")
    save_now(context, other.id, "requested")
    bucket.write("something/else", b"x")
    for _ in range(2):
        collect_garbage(context)
    assert object_store.keys() == named(one) | named(other) | {"something/else"}


def test_a_name_that_is_about_to_be_deleted_is_in_no_snapshot_until_it_is_over(
    context: TaskContext, session: Session, saver: Saver, object_store: RunningStore, bucket: Bucket
) -> None:
    """A collector stood still between its decision and the deletion, and its turn ran out meanwhile."""
    saver.files = contents("a")
    session.run()
    save_all(context, session)
    saver.files = contents("ab")
    session.run()
    save_all(context, session)
    key = next(iter(set(session.snapshots[1].objects) - set(session.snapshots[0].objects)))
    session.conn.execute("UPDATE session_workers SET head_snapshot = %s", (session.snapshots[0].id,))
    session.conn.execute("DELETE FROM snapshots WHERE number = 2")
    with context.database.dedicated() as collector:
        assert announce_presence(collector, "slow")
        lease = take_sync_lease(session.conn, session.id, owner="slow", lock_seconds=60)
        assert lease is not None
        listed = [Listed(each.key, each.last_modified) for each in bucket.list(session_prefix(session.id))]
        with session.conn.transaction():
            doomed = mark_for_deletion(session.conn, lease, listed, owner="slow", rules=GRACE, lock_seconds=60)
        assert key in doomed
        session.expire_turn()
        session.run()
        assert save_all(context, session) == ["failed"]
        assert "is deleting objects" in (session.state.sync_error or "")
        bucket.delete(doomed)  # it goes on
    session.make_due()
    assert save_all(context, session) == ["saved"]
    assert named(session) <= object_store.keys()


HEAD_IS_FIRST = "UPDATE session_workers SET head_snapshot = (SELECT id FROM snapshots WHERE number = 1)"


@pytest.mark.parametrize(
    ("but", "let_go"),
    [
        ("SELECT 1", 1),
        ("UPDATE snapshots SET reason = 'requested' WHERE number = 1", 0),
        ("UPDATE snapshots SET at_rest = true WHERE number = 1", 0),
        (HEAD_IS_FIRST, 0),
    ],
    ids=["nothing else", "it was asked for", "it is quiesced", "it is the head"],
)
def test_only_a_save_in_the_middle_of_a_run_is_let_go(
    context: TaskContext, session: Session, saver: Saver, but: str, let_go: int
) -> None:
    save_twice(context, session, saver)
    session.conn.execute(but)
    assert collect_garbage(context).retired == let_go


def save_twice(context: TaskContext, session: Session, saver: Saver) -> None:
    """In the middle of a run, and at its end."""
    for files in ("a", "ab"):
        saver.files = contents(files)
        session.run()
        save_all(context, session)
    session.conn.execute(
        "UPDATE snapshots SET reason = 'message', at_rest = false, run_id = later.run_id"
        " FROM snapshots AS later WHERE snapshots.number = 1 AND later.number = 2"
    )
