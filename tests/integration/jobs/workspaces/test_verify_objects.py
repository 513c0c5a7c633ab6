"""What the duty finds that reads stored objects slowly, and whom it tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from handlers.alarms import Limits, alarms
from jobs.context import TaskContext
from jobs.doctor.deployment import check_objects
from jobs.object_store.s3 import Bucket
from jobs.workspaces.collect_garbage import collect_garbage
from jobs.workspaces.verify_objects import verify_objects
from schema.sql import Conn
from tests.integration.jobs.workspaces.conftest import Session
from tests.integration.jobs.workspaces.saver import Saver, contents
from tests.integration.jobs.workspaces.test_saving import save_all
from tests.store_faults import Fault, HurtStore


@pytest.fixture
def saved(context: TaskContext, session: Session, saver: Saver) -> Session:
    """A session with one snapshot of three files, made long ago."""
    saver.files = contents("abc")
    session.run()
    assert save_all(context, session) == ["saved"]
    let_days_pass(session.conn, 20)
    return session


def let_days_pass(conn: Conn, days: float) -> None:
    conn.execute("UPDATE snapshots SET created_at = created_at - make_interval(secs => %s * 86400)", (days,))
    conn.execute("UPDATE object_reads SET read_at = read_at - make_interval(secs => %s * 86400)", (days,))
    conn.execute(
        "UPDATE object_looks SET looked_at = looked_at - make_interval(secs => %(days)s * 86400),"
        " oldest_at = oldest_at - make_interval(secs => %(days)s * 86400)",
        {"days": days},
    )


def read_all(context: TaskContext) -> int:
    """Passes until there is nothing to read, and the faults that they found."""
    faults = 0
    while (done := verify_objects(context)).read:
        faults += done.faults
    return faults


def keys_read(conn: Conn) -> set[str]:
    return {row[0] for row in conn.execute("SELECT key FROM object_reads").fetchall()}


def test_each_object_is_read_once_and_again_after_half_of_the_days(context: TaskContext, saved: Session) -> None:
    assert read_all(context) == 0
    [snapshot] = saved.snapshots
    assert keys_read(saved.conn) == set(snapshot.objects)
    assert verify_objects(context).read == 0
    let_days_pass(saved.conn, 14)
    assert verify_objects(context).read == 0
    let_days_pass(saved.conn, 2)
    assert verify_objects(context).read == 1


def test_a_pass_goes_on_with_the_next_session_and_looks_at_no_other(
    context: TaskContext, saved: Session, make_session: Callable[[], Session]
) -> None:
    others = [make_session() for _ in range(2)]
    for age, other in zip((40, 0), others, strict=True):
        other.run()
        assert save_all(context, other) == ["saved"]
        other.conn.execute(
            "UPDATE snapshots SET created_at = now() - make_interval(days => %s) WHERE session_id = %s", (age, other.id)
        )
    first, last = others
    for _ in range(3):  # each looks at one session of the three
        verify_objects(context)
    saved.conn.execute("UPDATE object_looks SET looked_at = now() - interval '1 hour'")
    assert read_all(context) == 0
    assert keys_read(saved.conn) == {*saved.snapshots[0].objects, *first.snapshots[0].objects}
    looked_at = saved.conn.execute(
        "SELECT session_id FROM object_looks WHERE looked_at > now() - interval '30 minutes'"
    ).fetchall()
    assert last.id not in {row[0] for row in looked_at}


def test_each_session_is_counted_anew_once_a_day(context: TaskContext, saved: Session, saver: Saver) -> None:
    assert read_all(context) == 0
    saver.files = contents("abcd")
    saved.run()
    assert save_all(context, saved) == ["saved"]
    verify_objects(context)
    assert counted(saved.conn) == len(saved.snapshots[0].objects)
    saved.conn.execute("UPDATE object_looks SET looked_at = now() - interval '25 hours'")
    verify_objects(context)
    assert counted(saved.conn) == len({*saved.snapshots[0].objects, *saved.snapshots[1].objects})


def counted(conn: Conn) -> int:
    [row] = conn.execute("SELECT objects FROM object_looks").fetchall()
    return int(row[0])


def test_what_was_saved_lately_is_not_read(context: TaskContext, saved: Session) -> None:
    let_days_pass(saved.conn, -10)
    assert verify_objects(context).read == 0


def test_a_pass_reads_its_share_so_that_all_are_read_within_the_days(
    make_saving_context: Callable[..., TaskContext], session: Session, saver: Saver
) -> None:
    """A quarter of two days has 72 passes of ten minutes: each reads a 72nd of the 75 objects, rounded up."""
    context = make_saving_context(verify_days=2)
    saver.files = {f"{number}": f"{number}".encode() for number in range(74)}
    session.run()
    assert save_all(context, session) == ["saved"]
    let_days_pass(session.conn, 1)
    assert verify_objects(context).read == 2


@pytest.mark.parametrize(("harm", "fault"), [("changed", "altered"), ("cut short", "altered"), ("deleted", "missing")])
@pytest.mark.parametrize("place", [0, -1])
def test_a_changed_and_a_missing_object_are_told(
    context: TaskContext, saved: Session, bucket: Bucket, database: str, harm: str, fault: str, place: int
) -> None:
    """The first object is a pack, the last one the manifest."""
    [snapshot] = saved.snapshots
    key = snapshot.objects[place]
    content = bucket.read(key)
    if harm == "deleted":
        bucket.delete([key])
    else:
        bucket.write(key, content[:-1] if harm == "cut short" else bytes([content[0] ^ 1]) + content[1:])
    with capture_logs() as lines:
        assert read_all(context) == 1
    assert [(line["key"], line["fault"]) for line in lines if line["event"] == "object.faulty"] == [(key, fault)]
    [warning] = saved.events("run.warning")
    assert warning.data["code"] == "saved_objects_damaged"
    assert "in full: 1." in warning.data["message"]
    [alarm] = alarms(saved.conn, Limits())
    assert alarm.code == "objects_faulty"
    assert key in alarm.message
    [finding] = check_objects(database)
    assert finding.state == "wrong"
    assert key in finding.what

    bucket.write(key, content)
    let_days_pass(saved.conn, 0.1)
    assert verify_objects(context).read == 1
    assert alarms(saved.conn, Limits()) == []
    assert check_objects(database) == []


def test_a_fault_is_told_once_however_often_it_is_read(context: TaskContext, saved: Session, bucket: Bucket) -> None:
    bucket.delete(saved.snapshots[0].objects[:2])
    assert read_all(context) == 2
    for _ in range(3):
        let_days_pass(saved.conn, 20)
        assert read_all(context) == 0
    warnings = " ".join(warning.data["message"] for warning in saved.events("run.warning"))
    assert warnings.count("Ask an operator") <= 2


def test_a_silent_store_finds_nothing_missing(context: TaskContext, saved: Session, hurt_store: HurtStore) -> None:
    hurt_store.fail(times=None)
    assert verify_objects(context).read == 0
    assert keys_read(saved.conn) == set()
    hurt_store.heal()
    assert verify_objects(context).read == 1


@pytest.mark.parametrize("fault", [Fault(status=403), Fault(status=503), Fault(cut_answer_after=3)])
def test_an_object_that_the_store_does_not_deliver_is_told_and_the_others_are_read(
    context: TaskContext, saved: Session, hurt_store: HurtStore, fault: Fault
) -> None:
    [snapshot] = saved.snapshots
    key = min(snapshot.objects)  # the first that is read
    hurt_store.hurt(replace(fault, method="GET", part_of_key=key, times=None))
    assert read_all(context) == 1
    assert keys_read(saved.conn) == set(snapshot.objects)
    assert saved.conn.execute("SELECT key, fault FROM object_reads WHERE fault IS NOT NULL").fetchall() == [
        (key, "unreadable")
    ]
    assert "unreadable" in saved.events("run.warning")[0].data["message"]
    [alarm] = alarms(saved.conn, Limits())
    assert key in alarm.message

    hurt_store.heal()
    let_days_pass(saved.conn, 0.1)
    assert verify_objects(context).read == 1
    assert alarms(saved.conn, Limits()) == []


def test_a_connection_that_was_cut_once_is_no_fault(
    context: TaskContext, saved: Session, hurt_store: HurtStore
) -> None:
    hurt_store.hurt(Fault(method="GET", part_of_key=min(saved.snapshots[0].objects), cut_answer_after=3))
    assert read_all(context) == 0
    assert keys_read(saved.conn) == set(saved.snapshots[0].objects)


def test_the_collection_of_garbage_forgets_objects_that_no_snapshot_names_any_more(
    context: TaskContext, saved: Session, saver: Saver, bucket: Bucket
) -> None:
    bucket.delete(saved.snapshots[0].objects[:1])
    assert read_all(context) == 1
    saver.files = contents("cd")
    saved.run()
    assert save_all(context, saved) == ["saved"]
    let_days_pass(saved.conn, 20)
    read_all(context)
    collect_garbage(context)
    first, last = saved.snapshots
    assert keys_read(saved.conn) == {*first.objects, *last.objects}

    saved.conn.execute("DELETE FROM snapshots WHERE id = %s", (first.id,))
    let_days_pass(saved.conn, 20)
    collect_garbage(context)
    assert keys_read(saved.conn) == set(last.objects)
    assert read_all(context) == 0
    assert keys_read(saved.conn) == set(last.objects)


def test_it_can_be_switched_off(make_saving_context: Callable[..., TaskContext], saved: Session) -> None:
    assert verify_objects(make_saving_context(verify_days=0)).read == 0
    assert keys_read(saved.conn) == set()
