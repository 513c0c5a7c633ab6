"""The API's reader of the object store: ranges, links, what is missing or too large, and a key that does not fit."""

from __future__ import annotations

import secrets

import httpx
import pytest

from functions.files.object_reader import FilesUnavailable, ObjectMissing, ObjectReader
from functions.runtime.settings import ApiSettings
from tests.object_stores import RunningStore

KEY = "sessions/a/packs/b"
CONTENT = bytes(range(256)) * 1024


@pytest.fixture
def stored(object_store: RunningStore) -> str:
    """The key of an object of 256 KiB."""
    object_store.open().write(KEY, CONTENT)
    return KEY


def test_an_object_is_read_whole_and_by_range(settings: ApiSettings, stored: str) -> None:
    reader = ObjectReader(settings)
    assert reader.read(stored, most_bytes=len(CONTENT)) == CONTENT
    assert b"".join(reader.stream(stored)) == CONTENT
    assert b"".join(reader.stream(stored, start=1000, end=200_000)) == CONTENT[1000:200_000]
    assert b"".join(reader.stream(stored, start=len(CONTENT) - 1)) == CONTENT[-1:]
    with pytest.raises(FilesUnavailable, match="larger than any"):
        reader.read(stored, most_bytes=len(CONTENT) - 1)


def test_a_missing_object_is_told_as_such(settings: ApiSettings, object_store: RunningStore) -> None:
    del object_store
    reader = ObjectReader(settings)
    with pytest.raises(ObjectMissing):
        reader.read("sessions/a/packs/none", most_bytes=10)
    with pytest.raises(ObjectMissing):
        next(reader.stream("sessions/a/packs/none", start=5, end=6))


def test_a_link_reads_its_object_as_an_attachment_and_writes_nothing(settings: ApiSettings, stored: str) -> None:
    public = ObjectReader(settings.model_copy(update={"s3_public_endpoint_url": settings.s3_endpoint_url}))
    assert ObjectReader(settings).link(stored, disposition="attachment") is None
    link = public.link(stored, disposition='attachment; filename="b.bin"')
    assert link is not None
    with httpx.Client(trust_env=False) as http:
        part = http.get(link, headers={"Range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, CONTENT[10:20])
        assert part.headers["content-disposition"] == 'attachment; filename="b.bin"'
        assert http.put(link, content=b"changed").status_code == 403
    assert b"".join(public.stream(stored, end=10)) == CONTENT[:10]


def test_a_key_that_does_not_fit_is_refused_without_being_named(settings: ApiSettings, stored: str) -> None:
    wrong = f"nobody{secrets.token_hex(8)}"
    reader = ObjectReader(settings.model_copy(update={"s3_read_access_key_id": wrong}))
    with pytest.raises(FilesUnavailable) as refused:
        reader.read(stored, most_bytes=len(CONTENT))
    assert "S3_READ_ACCESS_KEY_ID" in refused.value.detail
    assert wrong not in refused.value.detail
