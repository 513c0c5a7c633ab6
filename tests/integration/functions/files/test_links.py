"""A file that is an object of its own is handed out by a link to the store; every other file by the API."""

from __future__ import annotations

import os

import httpx
import pytest

from functions.runtime.settings import ApiSettings
from tests.integration.functions.files.conftest import SavedSession, reading_settings
from tests.object_stores import RunningStore, StoreServer

NAME = 'a"\r\nX-Evil: 1.html'


@pytest.fixture
def settings(database: str, object_store: RunningStore, store_server: StoreServer) -> ApiSettings:
    settings = reading_settings(database, object_store, store_server)
    return settings.model_copy(update={"s3_public_endpoint_url": object_store.settings.endpoint_url})


@pytest.fixture
def content(saved: SavedSession) -> bytes:
    content = os.urandom(2 << 20)
    (saved.workspace / NAME).write_bytes(content)
    (saved.workspace / "small").write_bytes(os.urandom(1000))
    (saved.workspace / "parts").write_bytes(os.urandom(17 << 20))
    (saved.workspace / "compressed").write_bytes(b"x" * (2 << 20))
    saved.save()
    return content


def test_a_link_gives_the_files_bytes_as_an_attachment(saved: SavedSession, content: bytes) -> None:
    found = saved.get("download", path=NAME, link="true")
    assert (found.status_code, found.headers["Cache-Control"]) == (307, "no-store")
    assert found.headers["Runyard-Snapshot"] == str(saved.disk.head)
    got = httpx.get(found.headers["Location"], trust_env=False)
    assert (got.status_code, got.content == content) == (200, True)
    assert got.headers["content-disposition"].startswith('attachment; filename="a___X-Evil_ 1.html"')
    assert "x-evil" not in got.headers
    assert got.headers["content-type"] == "application/octet-stream"
    part = httpx.get(found.headers["Location"], headers={"Range": "bytes=5-9"}, trust_env=False)
    assert (part.status_code, part.content) == (206, content[5:10])
    [row] = saved.audited()
    assert (row["action"], row["bytes"], row["allowed"], row["reason"]) == ("download", len(content), True, "ok")


def test_a_pdf_for_the_browser_is_sent_under_its_policy_and_never_as_a_link(saved: SavedSession) -> None:
    """The store sends no policy of Runyard's."""
    for name, first in (("paper.pdf", b"%PDF-1.7\n"), ("page.pdf", b"<html>\n")):
        (saved.workspace / name).write_bytes(first + os.urandom(2 << 20))
    saved.save()
    shown = saved.get("download", path="paper.pdf", link="true", inline="true")
    assert (shown.status_code, shown.mimetype) == (200, "application/pdf")
    assert shown.get_data() == (saved.workspace / "paper.pdf").read_bytes()
    other = saved.get("download", path="page.pdf", link="true", inline="true")
    assert other.status_code == 307
    linked = httpx.get(other.headers["Location"], trust_env=False).headers
    assert linked["content-disposition"].startswith("attachment;")
    assert linked["content-type"] == "application/octet-stream"


def test_a_link_reads_that_object_alone(saved: SavedSession, content: bytes, object_store: RunningStore) -> None:
    del content
    link = saved.get("download", path=NAME, link="true").headers["Location"]
    assert httpx.put(link, content=b"changed", trust_env=False).status_code == 403
    keys = object_store.keys()
    key = next(key for key in keys if key in link)
    other = next(iter(keys - {key}))
    assert httpx.get(link.replace(key, other), trust_env=False).status_code == 403


def test_all_other_files_are_sent(saved: SavedSession, content: bytes) -> None:
    for name in ("small", "parts", "compressed"):
        found = saved.get("download", path=name, link="true")
        assert (found.status_code, found.get_data()) == (200, (saved.workspace / name).read_bytes())
    assert saved.get("download", path=NAME).get_data() == content


def test_a_denied_file_has_no_link(saved: SavedSession, content: bytes) -> None:
    del content
    assert saved.api.post("/api/admin/file-policies", {"effect": "deny", "pattern": "**"}).status_code == 201
    refused = saved.get("download", path=NAME, link="true")
    assert (refused.status_code, refused.headers.get("Location")) == (403, None)
