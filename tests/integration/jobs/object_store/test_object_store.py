"""The adapter, against a real server over the network: what it does, and what it says when the store does not."""

from __future__ import annotations

import logging
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest

from executor.snapshotter.stable_read import PART_BYTES
from jobs.object_store.errors import StoreError
from jobs.object_store.s3 import Bucket, make_store
from schema.errors import NotFound
from tests.integration.jobs.object_store.uploads import put, terms_of
from tests.object_stores import RunningStore
from tests.store_faults import Fault, HurtStore

ODD_KEYS = ["a b", "a+b", "ü/ö%20", "p/q~()!*'", "x&y=z?#", "d//e", "日本"]


@pytest.fixture
def store(object_store: RunningStore) -> Bucket:
    return object_store.open()


@pytest.fixture
def hurt(object_store: RunningStore, hurt_store: HurtStore) -> Bucket:
    """The same store by the way that can be hurt."""
    return object_store.at(hurt_store.url).open()


def test_what_is_written_is_read(store: Bucket) -> None:
    store.write("a/b", b"x" * 3_000_000)
    assert store.read("a/b") == b"x" * 3_000_000


@pytest.mark.parametrize("key", ODD_KEYS)
def test_any_key_is_kept_as_it_is(store: Bucket, key: str) -> None:
    store.write(key, key.encode())
    assert [one.key for one in store.list("")] == [key]
    assert httpx.get(store.download_link(key)).content == store.read(key) == key.encode()
    store.delete([key])
    assert list(store.list("")) == []


def test_what_is_not_there_is_not_found(store: Bucket) -> None:
    with pytest.raises(NotFound):
        store.read("nothing")
    assert store.sizes(["nothing"]) == {}
    store.delete(["nothing"])


def test_more_than_may_be_read_at_once_is_not_read(store: Bucket) -> None:
    store.write("large", b"x" * 1001)
    with pytest.raises(StoreError) as caught:
        store.read("large", max_bytes=1000)
    assert caught.value.kind == "too_large"


def test_only_the_first_writes_what_must_be_absent(store: Bucket) -> None:
    assert store.write("once", b"1", only_if_absent=True)
    assert not store.write("once", b"2", only_if_absent=True)
    assert store.read("once") == b"1"


def test_a_probe_of_conditional_writes_leaves_nothing(store: Bucket) -> None:
    store.has_conditional_writes()
    assert list(store.list("")) == []


@pytest.mark.parametrize("count", [3, 60])
def test_sizes_are_those_of_the_objects_that_are_there(store: Bucket, count: int) -> None:
    for number in range(count):
        store.write(f"s/{number}", b"x" * number)
    asked = [f"s/{number}" for number in range(count + 5)]
    assert store.sizes(asked) == {f"s/{number}": number for number in range(count)}


def test_many_sizes_are_asked_for_by_one_listing(object_store: RunningStore, hurt_store: HurtStore) -> None:
    store = object_store.open()
    for number in range(40):
        store.write(f"s/{number}", b"x")
    object_store.at(hurt_store.url).open().sizes([f"s/{number}" for number in range(40)])
    assert [method for method, _ in hurt_store.requests] == ["GET"]


def test_a_few_sizes_are_not_asked_for_by_a_long_listing(object_store: RunningStore, hurt_store: HurtStore) -> None:
    object_store.at(hurt_store.url).open().sizes(["s/1", "t/2"])
    assert [method for method, _ in hurt_store.requests] == ["HEAD", "HEAD"]


def test_a_listing_over_several_pages_is_whole(store: Bucket) -> None:
    keys = {f"n/{number}" for number in range(30)}
    for key in {*keys, "m", "n", "o"}:
        store.write(key, b"")
    assert {one.key for one in store.list("n/", page_keys=7)} == keys


def test_more_than_a_store_tells_at_once_are_all_listed(store: Bucket) -> None:
    keys = {f"n/{number:04}" for number in range(1010)}
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda key: store.write(key, b""), keys))
    assert {one.key for one in store.list("n/")} == keys


def test_a_part_of_a_large_file_comes_back_as_it_was(store: Bucket) -> None:
    part = random.Random(7).randbytes(PART_BYTES)
    assert put(store.upload_link("part", terms_of(part)), part).status_code == 200
    assert httpx.get(store.download_link("part"), timeout=60).content == part
    assert store.sizes(["part"]) == {"part": PART_BYTES}


def test_more_are_deleted_than_fit_in_a_call(store: Bucket) -> None:
    store.write("kept", b"")
    store.write("n/1001", b"")
    store.delete([f"n/{number:04}" for number in range(1010)])
    assert [one.key for one in store.list("")] == ["kept"]


def test_a_link_puts_and_gets_one_object(store: Bucket) -> None:
    assert put(store.upload_link("l/1", terms_of(b"linked")), b"linked").status_code == 200
    assert httpx.get(store.download_link("l/1")).content == b"linked"
    assert store.sizes(["l/1"]) == {"l/1": 6}


@pytest.mark.parametrize("change", [("l/1", "l/2"), ("X-Amz-Expires=900", "X-Amz-Expires=9000")])
def test_a_link_is_good_for_nothing_else(store: Bucket, change: tuple[str, str]) -> None:
    link = store.download_link("l/1")
    assert httpx.get(link.replace(*change)).status_code == 403
    assert httpx.put(link, content=b"").status_code == 403
    assert httpx.get(link.partition("?")[0]).status_code == 403


def test_a_link_stops_working(store: Bucket) -> None:
    store.write("l/1", b"")
    link = store.download_link("l/1", seconds=1)
    for _ in range(200):
        if httpx.get(link).status_code == 403:
            return
    pytest.fail("the link still works")


def test_links_lead_where_workers_reach_the_store(object_store: RunningStore, hurt_store: HurtStore) -> None:
    store = make_store(replace(object_store.settings, worker_endpoint_url=hurt_store.url))
    link = store.upload_link("l/1", terms_of(b"1"))
    assert link.startswith(hurt_store.url)
    assert put(link, b"1").status_code == 200
    assert store.read("l/1") == b"1"
    assert [method for method, _ in hurt_store.requests] == ["PUT"]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"secret_access_key": "wrong"}, "denied"),
        ({"access_key_id": "nobody"}, "denied"),
        ({"bucket": "not-there"}, "no_bucket"),
        ({"endpoint_url": "http://127.0.0.1:1"}, "network"),
    ],
)
def test_a_wrong_setting_is_named(object_store: RunningStore, change: dict[str, str], kind: str) -> None:
    store = make_store(replace(object_store.settings, **change))  # type: ignore[arg-type]
    with pytest.raises(StoreError) as caught:
        store.write("a", b"")
    assert caught.value.kind == kind


@pytest.mark.parametrize("status", [500, 503])
def test_a_failing_request_is_repeated(hurt: Bucket, hurt_store: HurtStore, status: int) -> None:
    hurt_store.fail(status=status, times=2)
    hurt.write("a", b"1")
    assert hurt.read("a") == b"1"


def test_a_store_that_goes_on_failing_is_given_up(hurt: Bucket, hurt_store: HurtStore) -> None:
    hurt_store.fail(status=503, times=None)
    with pytest.raises(StoreError) as caught:
        hurt.write("a", b"1")
    assert caught.value.kind == "busy"
    hurt_store.heal()
    hurt.write("a", b"1")


def test_a_store_that_is_down_is_unreachable_until_it_is_back(hurt: Bucket, hurt_store: HurtStore) -> None:
    hurt_store.is_down = True
    with pytest.raises(StoreError) as caught:
        hurt.sizes(["a"])
    assert caught.value.kind == "network"
    hurt_store.heal()
    assert hurt.sizes(["a"]) == {}


def test_a_full_store_is_called_full(hurt: Bucket, hurt_store: HurtStore) -> None:
    hurt_store.fill_up()
    with pytest.raises(StoreError) as caught:
        hurt.write("a", b"1")
    assert caught.value.kind == "full"


def test_a_cut_upload_is_repeated_whole(hurt: Bucket, hurt_store: HurtStore) -> None:
    hurt_store.hurt(Fault(method="PUT", cut_request_after=100_000))
    hurt.write("a", b"x" * 1_000_000)
    assert hurt.sizes(["a"]) == {"a": 1_000_000}


def test_a_cut_download_is_an_error_and_no_half_object(hurt: Bucket, hurt_store: HurtStore) -> None:
    hurt.write("a", b"x" * 1_000_000)
    hurt_store.hurt(Fault(method="GET", cut_answer_after=100_000))
    with pytest.raises(StoreError) as caught:
        hurt.read("a")
    assert caught.value.kind == "network"


def test_a_write_whose_answer_was_lost_is_there_once(hurt: Bucket, hurt_store: HurtStore) -> None:
    hurt_store.hurt(Fault(method="PUT", lose_answer=True))
    hurt.write("a", b"1")
    assert [one.key for one in hurt.list("")] == ["a"]


def test_neither_secrets_nor_links_are_in_logs_and_errors(
    object_store: RunningStore, hurt_store: HurtStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store = object_store.at(hurt_store.url).open()
    links = [store.upload_link("a", terms_of(b"")), store.download_link("a")]
    hurt_store.fail(times=None)
    with pytest.raises(StoreError) as caught:
        store.write("a", b"1")
    secret = object_store.settings.secret_access_key
    assert secret
    said = f"{caplog.text}{caught.value!r}{caught.value.__cause__!r}{store.settings!r}"
    for hidden in (secret, *(link.partition("X-Amz-Signature=")[2][:64] for link in links)):
        assert hidden not in said
    assert "X-Amz-Signature" not in said
