"""Stores that ask for Content-MD5, have no bulk deletions, refuse deletions, or keep versions: nothing stops there."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from jobs.doctor.store import check_store
from jobs.object_store.errors import StoreError
from jobs.object_store.opening import StoreOpening
from jobs.object_store.s3 import Bucket
from jobs.object_store.writing import KEY, StoreWriting
from tests.object_stores import RunningStore
from tests.store_faults import Fault, HurtStore

KEYS = ["a", "b/ü", "c d"]


@pytest.fixture
def hurt(object_store: RunningStore, hurt_store: HurtStore) -> Bucket:
    return object_store.at(hurt_store.url).open()


def test_a_store_that_asks_for_md5_deletes_in_bulk(hurt: Bucket, hurt_store: HurtStore) -> None:
    refusal = hurt_store.hurt(
        Fault(method="POST", without_header="content-md5", times=None, status=400, code="MissingContentMD5")
    )
    for key in KEYS:
        hurt.write(key, b"1")
    hurt.delete(KEYS)
    assert list(hurt.list("")) == []
    assert hurt.has_bulk_deletions
    assert not refusal.met.is_set()


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (405, "MethodNotAllowed")])
def test_a_store_without_bulk_deletions_deletes_one_by_one(
    hurt: Bucket, hurt_store: HurtStore, status: int, code: str
) -> None:
    hurt_store.hurt(Fault(method="POST", times=None, status=status, code=code))
    for key in KEYS:
        hurt.write(key, b"1")
    hurt.delete([*KEYS, "was never there"])
    assert list(hurt.list("")) == []
    hurt_store.requests.clear()
    hurt.delete(KEYS)
    assert {method for method, _ in hurt_store.requests} == {"DELETE"}


def test_what_one_by_one_could_not_delete_is_told_and_the_rest_is_gone(hurt: Bucket, hurt_store: HurtStore) -> None:
    hurt_store.hurt(Fault(method="POST", times=None, status=501, code="NotImplemented"))
    hurt_store.hurt(Fault(method="DELETE", part_of_key="/a", times=None, status=403))
    for key in ("a", "b"):
        hurt.write(key, b"1")
    with pytest.raises(StoreError) as caught:
        hurt.delete(["a", "b"])
    assert caught.value.kind == "denied"
    assert "1 left" in caught.value.detail
    assert [stored.key for stored in hurt.list("")] == ["a"]


def test_a_store_that_refuses_to_delete_a_probe_opens_all_the_same(hurt: Bucket, hurt_store: HurtStore) -> None:
    for method in ("POST", "DELETE"):
        hurt_store.fail(method=method, status=403, times=None)
    with capture_logs() as log:
        StoreOpening(hurt).run_once()
    assert [entry["event"] for entry in log] == ["store.probe_left", "store.ready"]
    assert log[1]["conditional_writes"] is True


def test_the_doctor_tells_a_store_without_bulk_deletions(object_store: RunningStore, hurt_store: HurtStore) -> None:
    hurt_store.hurt(Fault(method="POST", times=None, status=501, code="NotImplemented"))
    findings = check_store(object_store.at(hurt_store.url).settings)
    assert not [finding for finding in findings if finding.state == "wrong"]
    assert any("deletes one by one" in finding.what for finding in findings)


def test_a_bucket_with_versions_keeps_none_of_a_probe(hurt: Bucket, hurt_store: HurtStore) -> None:
    hurt_store.hurt(Fault(method="PUT", times=None, answer_header=("x-amz-version-id", "v1")))
    gone = hurt_store.hurt(Fault(method="DELETE", part_of_key=KEY, times=None, status=204))
    writing = StoreWriting(hurt)
    for _ in range(2):
        writing.run_once()
    assert writing.fault is None
    assert gone.met.is_set()
    assert [method for method, _ in hurt_store.requests] == ["PUT", "DELETE"] * 2


def test_a_bucket_that_keeps_versions_gets_no_second_one_by_a_probe(
    hurt: Bucket, hurt_store: HurtStore, object_store: RunningStore
) -> None:
    assert hurt.has_conditional_writes()
    hurt_store.hurt(Fault(method="PUT", times=None, answer_header=("x-amz-version-id", "v1")))
    hurt_store.fail(method="DELETE", status=403, times=None)
    writing = StoreWriting(hurt)
    assert fault_of(writing) is None
    [first] = object_store.open().list(KEY)
    for _ in range(3):
        assert fault_of(writing) is None
    assert list(object_store.open().list(KEY)) == [first], "it was not written again"
    hurt_store.is_down = True
    assert fault_of(writing) is not None
    hurt_store.is_down = False
    assert fault_of(writing) is None


def fault_of(writing: StoreWriting) -> str | None:
    writing.run_once()
    return writing.fault
