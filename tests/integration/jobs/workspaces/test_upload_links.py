"""What a worker's links can do to the objects of a session: write new ones, once, and change none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest

from handlers.workers.rows import announce_presence
from jobs.context import TaskContext
from jobs.object_store.s3 import Bucket
from jobs.workspaces.collect_garbage import collect_garbage
from jobs.workspaces.sync_operation import Superseded
from jobs.workspaces.upload_links import UploadLinks
from schema.object_keys import manifest_key, part_key
from schema.sql import Conn
from schema.upload_headers import content_md5
from schema.workspace_api import Want
from tests.integration.jobs.object_store.uploads import put
from tests.integration.jobs.waiting import wait_until
from tests.integration.jobs.workspaces.conftest import Session
from tests.integration.jobs.workspaces.saver import Saver, contents
from tests.integration.jobs.workspaces.test_failures import assert_as_if_it_had_not_failed, dirty
from tests.integration.jobs.workspaces.test_saving import save_all
from tests.object_stores import RunningStore
from tests.store_faults import Fault, HurtStore

__all__ = ["dirty"]

Hurt = Callable[[HurtStore, Saver], object]
WAYS: dict[str, Hurt] = {
    "refused": lambda _store, _saver: None,
    "copied": lambda store, _saver: store.know_no_conditions(),
    "copied for an older executor": lambda _store, saver: setattr(saver, "tells_md5", False),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, hurt_store: HurtStore, saver: Saver) -> str:
    """By which way a link cannot replace an object."""
    WAYS[request.param](hurt_store, saver)
    return str(request.param)


def bytes_of(bucket: Bucket, keys: list[str]) -> dict[str, bytes]:
    return {key: bucket.read(key) for key in keys}


@pytest.mark.usefixtures("way")
def test_links_of_a_save_change_nothing_once_it_is_over(
    context: TaskContext, dirty: Session, saver: Saver, bucket: Bucket
) -> None:
    assert save_all(context, dirty) == ["saved"]
    [snapshot] = dirty.snapshots
    before = bytes_of(bucket, snapshot.objects)
    for link in saver.links:
        for content in before.values():
            put(link, content)
            put(link, content + b"more")
            put(link, bytes(len(content)))
            put(link, bytes(len(content)), announced=content)
    assert bytes_of(bucket, snapshot.objects) == before


@pytest.mark.usefixtures("way")
def test_a_later_save_that_asks_for_the_key_of_an_older_object_does_not_replace_it(
    context: TaskContext, dirty: Session, saver: Saver, bucket: Bucket
) -> None:
    """An executor that lies uploads other bytes under the key of an object that exists."""
    assert save_all(context, dirty) == ["saved"]
    [snapshot] = dirty.snapshots
    before = bytes_of(bucket, snapshot.objects)
    saver.files = contents("xyz")
    saver.also = {next(iter(saver.operations.values())).receipt["objects"][0]: b"other bytes"}
    dirty.run()
    save_all(context, dirty)
    assert bytes_of(bucket, snapshot.objects) == before


@pytest.mark.usefixtures("way")
def test_an_upload_whose_answer_was_lost_counts_when_it_is_what_was_announced(
    context: TaskContext, dirty: Session, saver: Saver, object_store: RunningStore, database: str
) -> None:
    saver.puts = 2
    assert save_all(context, dirty) == ["saved"]
    assert_as_if_it_had_not_failed(dirty, object_store, database)


@pytest.mark.usefixtures("way")
def test_other_bytes_of_the_same_size_under_a_new_objects_key_are_noticed_and_uploaded_again(
    context: TaskContext, dirty: Session, saver: Saver, object_store: RunningStore, database: str
) -> None:
    saver.before_put = write_other_bytes_first(saver, object_store)
    assert save_all(context, dirty) == ["saved"]
    assert len(saver.asked) == 2
    assert_as_if_it_had_not_failed(dirty, object_store, database)


def write_other_bytes_first(saver: Saver, object_store: RunningStore) -> Callable[[str], None]:
    """Before the newest save but one, other bytes of the same size come under the keys of its packs."""
    asked = len(saver.asked)

    def write(key: str) -> None:
        if len(saver.asked) == asked + 1 and "/packs/" in key:
            *_, operation = saver.operations.values()
            object_store.open().write(key, bytes(len(operation.missing[key])))

    return write


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("is_at_rest", [True, False])
def test_other_bytes_under_the_keys_of_a_kept_end_do_not_lose_it(
    context: TaskContext, dirty: Session, saver: Saver, object_store: RunningStore, *, is_at_rest: bool
) -> None:
    assert save_all(context, dirty) == ["saved"]
    saver.files = {**saver.files, **contents("d")}
    of_end = dirty.run()
    saver.keep_end(of_end.id)
    saver.files = {**saver.files, **contents("e")}
    later = dirty.begin_run()
    if is_at_rest:
        dirty.end_run(later)
    dirty.make_due()
    saver.before_put = write_other_bytes_first(saver, object_store)
    assert save_all(context, dirty) == ["saved"]
    assert [(each.run_id, each.files) for each in dirty.snapshots[1:]] == [(of_end.id, 4)]


@pytest.mark.usefixtures("way")
def test_a_right_object_whose_etag_is_no_md5_counts(
    context: TaskContext,
    dirty: Session,
    saver: Saver,
    hurt_store: HurtStore,
    object_store: RunningStore,
    database: str,
) -> None:
    """As a restored backup of the bucket leaves it, written in parts."""

    def restore_first(key: str) -> None:
        if "/packs/" in key:
            [operation] = saver.operations.values()
            object_store.open().write(key, operation.missing[key])

    saver.before_put = restore_first
    of_parts = ("etag", f'"{"0" * 32}-2"')
    hurt_store.hurt(Fault("HEAD", f"/{dirty.id}/packs/", times=None, answer_header=of_parts))
    assert save_all(context, dirty) == ["saved"]
    assert len(saver.asked) == 1
    assert_as_if_it_had_not_failed(dirty, object_store, database)


@pytest.fixture
def presence(context: TaskContext, dirty: Session, saver: Saver, object_store: RunningStore) -> Iterator[Conn]:  # noqa: ARG001  it is saved next
    """The connection by which the job worker counts as alive, so that its marks do. The next save finds other bytes
    under the keys of its packs."""
    saver.before_put = write_other_bytes_first(saver, object_store)
    with context.database.dedicated() as presence:
        assert announce_presence(presence, context.claimer)
        yield presence


@pytest.mark.usefixtures("presence")
def test_a_lost_answer_to_the_deletion_of_a_damaged_object_hinders_no_later_save(
    context: TaskContext, dirty: Session, hurt_store: HurtStore, object_store: RunningStore, database: str
) -> None:
    hurt_store.hurt(Fault(method="POST", lose_answer=True, times=None))
    assert save_all(context, dirty) == ["failed"]
    hurt_store.heal()
    dirty.make_due()
    assert save_all(context, dirty) == ["saved"]
    assert_as_if_it_had_not_failed(dirty, object_store, database)


@pytest.mark.usefixtures("presence")
def test_a_database_that_goes_away_after_a_damaged_object_was_deleted_hinders_no_later_save(
    context: TaskContext, dirty: Session, hurt_store: HurtStore, object_store: RunningStore, database: str
) -> None:
    fault = hurt_store.hurt(Fault(method="POST", hold=threading.Event()))
    assert fault.hold is not None
    with ThreadPoolExecutor(1) as pool:
        saving = pool.submit(save_all, context, dirty)
        assert fault.met.wait(60)
        with dirty.conn.transaction():
            dirty.conn.execute("LOCK TABLE unreferenced_objects IN EXCLUSIVE MODE")  # so that forgetting waits
            fault.hold.set()
            wait_until(lambda: cut_waiting_connection(dirty.conn), lambda: str(saving), seconds=60)
        assert saving.result(60) == ["saved"]
    assert dirty.conn.execute("SELECT count(*) FROM unreferenced_objects").fetchone() == (0,)
    assert_as_if_it_had_not_failed(dirty, object_store, database)


def cut_waiting_connection(conn: Conn) -> bool:
    """End the connection that waits to change the marks; False while there is none."""
    ended = conn.execute(
        "SELECT pg_terminate_backend(held.pid, 10000) FROM pg_locks AS held"
        " JOIN pg_database AS here ON here.oid = held.database AND here.datname = current_database()"
        " WHERE held.relation = 'unreferenced_objects'::regclass AND NOT held.granted"
    ).fetchall()
    return len(ended) > 0


@pytest.mark.parametrize("changes", [{"size": None}, {"size": 1 << 40}, {"md5": "AAAA"}, {"md5": "not base64"}])
def test_an_upload_that_is_announced_wrongly_gets_no_link(
    context: TaskContext, dirty: Session, saver: Saver, object_store: RunningStore, changes: dict[str, object]
) -> None:
    saver.tamper_want = lambda want: {**want, **changes}
    assert save_all(context, dirty) == ["failed"]
    assert dirty.state.sync_error is not None
    assert "announced an upload" in dirty.state.sync_error
    assert saver.links == []
    assert object_store.keys() == set()


def test_names_of_a_save_alone_are_gone_after_it(
    context: TaskContext, dirty: Session, saver: Saver, hurt_store: HurtStore, object_store: RunningStore
) -> None:
    hurt_store.know_no_conditions()
    copying = replace(context, store=object_store.at(hurt_store.url).open())
    assert save_all(copying, dirty) == ["saved"]
    assert all("/incoming/" in link for link in saver.links)
    [snapshot] = dirty.snapshots
    assert object_store.keys() == set(snapshot.objects)
    assert snapshot.objects[-1] == manifest_key(dirty.id, snapshot.id)


def test_names_that_cannot_be_deleted_fail_no_save_and_are_garbage(
    context: TaskContext, dirty: Session, hurt_store: HurtStore, object_store: RunningStore
) -> None:
    hurt_store.know_no_conditions()
    copying = replace(context, store=object_store.at(hurt_store.url).open())
    hurt_store.fail(status=403, method="POST", times=None)
    assert save_all(copying, dirty) == ["saved"]
    [snapshot] = dirty.snapshots
    left = object_store.keys() - set(snapshot.objects)
    assert len([key for key in left if "/incoming/" in key]) == len(snapshot.objects)
    hurt_store.heal()
    collect_garbage(copying)
    dirty.conn.execute("UPDATE unreferenced_objects SET marked_at = marked_at - interval '25 hours'")
    collect_garbage(copying)
    assert [key for key in sorted(object_store.keys()) if "/incoming/" in key] == []


def test_nothing_is_copied_once_the_lease_is_lost(hurt_store: HurtStore, object_store: RunningStore) -> None:
    hurt_store.know_no_conditions()
    bucket, session_id, content = object_store.at(hurt_store.url).open(), uuid4(), b"content"
    key, links = part_key(session_id, "0" * 64), UploadLinks(bucket, session_id)
    links.begin(uuid4())
    want = Want(method="PUT", key=key, size=len(content), md5=content_md5(content))
    assert put(links.sign(want), content).is_success
    with pytest.raises(Superseded):
        links.land(is_held=lambda: False)
    assert bucket.find([key]) == {}
    links.land(is_held=lambda: True)
    assert bucket.read(key) == content
