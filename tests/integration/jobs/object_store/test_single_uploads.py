"""What a link for an upload is good for: these bytes, once."""

from __future__ import annotations

from contextlib import suppress

import httpx
import pytest

from jobs.object_store.contract import UploadTerms
from jobs.object_store.errors import StoreError
from jobs.object_store.s3 import Bucket
from schema.upload_headers import content_md5, upload_headers
from tests.integration.jobs.object_store.uploads import put, terms_of
from tests.object_stores import RunningStore
from tests.store_faults import HurtStore

CONTENT = b"saved bytes"
OTHER = b"other bytes"


@pytest.fixture
def store(object_store: RunningStore) -> Bucket:
    return object_store.open()


def test_the_store_refuses_existing_objects_and_shows_md5s(store: Bucket) -> None:
    assert store.write_features().proves_single_writes


def test_a_link_that_was_used_is_used_up(store: Bucket) -> None:
    link = store.upload_link("a", terms_of(CONTENT, once=True))
    assert put(link, CONTENT).status_code == 200
    assert put(link, CONTENT).status_code == 412
    assert store.read("a") == CONTENT


def test_a_link_of_a_later_save_does_not_replace_an_object(store: Bucket) -> None:
    assert put(store.upload_link("a", terms_of(CONTENT, once=True)), CONTENT).status_code == 200
    assert put(store.upload_link("a", terms_of(OTHER, once=True)), OTHER).status_code == 412
    assert store.read("a") == CONTENT


@pytest.mark.parametrize("content", [OTHER, CONTENT + b"more", CONTENT[:-1], b""])
def test_a_link_is_for_no_other_bytes(store: Bucket, content: bytes) -> None:
    link = store.upload_link("a", terms_of(CONTENT))
    assert put(link, content).status_code in (400, 403), "other headers than signed"
    headers = upload_headers(link, size=len(content), md5=content_md5(CONTENT))
    assert httpx.put(link, content=content, headers=headers).status_code in (400, 403), "another body than signed"
    assert store.sizes(["a"]) == {}


def test_a_link_is_for_no_body_without_a_length(store: Bucket) -> None:
    link = store.upload_link("a", terms_of(CONTENT))
    headers = {name: value for name, value in upload_headers(link, size=0).items() if name != "content-length"}
    answer = httpx.put(link, content=iter([CONTENT]), headers={**headers, "content-md5": content_md5(CONTENT)})
    assert answer.status_code >= 400
    assert store.sizes(["a"]) == {}


@pytest.mark.parametrize("left_out", ["if-none-match", "content-md5"])
def test_a_link_is_for_no_upload_that_leaves_a_condition_out(store: Bucket, left_out: str) -> None:
    link = store.upload_link("a", terms_of(CONTENT, once=True))
    headers = upload_headers(link, size=len(CONTENT), md5=content_md5(CONTENT))
    del headers[left_out]
    assert httpx.put(link, content=CONTENT, headers=headers).status_code == 403
    assert store.sizes(["a"]) == {}


def test_a_link_of_known_length_only_is_for_no_more_bytes(store: Bucket) -> None:
    link = store.upload_link("a", UploadTerms(len(CONTENT)))
    assert put(link, CONTENT + b"more").status_code == 403
    assert put(link, CONTENT).status_code == 200


def test_a_copy_has_the_bytes_and_the_etag(store: Bucket) -> None:
    store.write("incoming/a", CONTENT)
    [source] = store.find(["incoming/a"]).values()
    assert store.copy(source, "a") == source.etag == store.find(["a"])["a"].etag
    assert store.read("a") == store.read("incoming/a") == CONTENT


def test_a_copy_of_what_was_replaced_since_it_was_seen_is_refused_or_shows_it(store: Bucket) -> None:
    store.write("incoming/a", CONTENT)
    [source] = store.find(["incoming/a"]).values()
    store.write("incoming/a", OTHER)
    etag = None
    with suppress(StoreError):
        etag = store.copy(source, "a")
    assert etag != source.etag


def test_a_store_without_conditions_is_known_as_such(object_store: RunningStore, hurt_store: HurtStore) -> None:
    hurt_store.know_no_conditions()
    features = object_store.at(hurt_store.url).open().write_features()
    assert (features.refuses_existing, features.has_md5_etags) == (False, True)
