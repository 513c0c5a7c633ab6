"""A session whose snapshots a real snapshotter wrote into a real store, and the API beside it: there is no worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID, uuid4

import psycopg
import pytest
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import TestResponse

from cli.__main__ import main
from functions.runtime.settings import ApiSettings, read_settings
from jobs.object_store.contract import UploadTerms
from jobs.object_store.s3 import Bucket
from schema.wire import Json
from tests.integration.executor.snapshotter.objects import Objects
from tests.integration.executor.snapshotter.session_disk import SessionDisk
from tests.integration.functions.conftest import SECRET, Api, answer_json
from tests.object_stores import RunningStore, StoreServer


@dataclass
class LinksOf:
    """The links of a real bucket, as the snapshotter's tests take them."""

    bucket: Bucket

    def link(self, method: str, key: str, *, size: int | None, md5: str | None) -> str:
        if method == "GET":
            return self.bucket.download_link(key)
        assert size is not None
        return self.bucket.upload_link(key, UploadTerms(size, md5, once=True))


@dataclass
class SavedSession:
    """A session of the administrator; `disk` holds its two roots, of which `save` makes snapshots."""

    api: Api
    conn: psycopg.Connection[Any]
    disk: SessionDisk
    first: UUID | None = None

    @property
    def id(self) -> UUID:
        return self.disk.session_id

    @property
    def workspace(self) -> Path:
        return self.disk.workspace

    def save(self, run_id: UUID | None = None) -> UUID:
        """Save the workspace, as after the run, and return the snapshot's id."""
        receipt = self.disk.save().receipt
        self.conn.execute(
            "INSERT INTO snapshots (id, session_id, number, epoch, run_id, reason, seq, at_rest, files, bytes, changed,"
            " uploaded_bytes, objects, manifest_digest)"
            " SELECT %s, %s, count(*) + 1, 1, %s, 'run', 1, true, %s, %s, 1, 0, '{}', %s FROM snapshots"
            " WHERE session_id = %s",
            (
                receipt["snapshotId"],
                self.id,
                run_id,
                receipt["files"],
                receipt["bytes"],
                receipt["manifestDigest"],
                self.id,
            ),
        )
        return UUID(receipt["snapshotId"])

    def run(self) -> UUID:
        """A run of the session that has ended."""
        driver = self.api.bind(str(self.id))
        assert driver.finish()[0] == 200
        return driver.run_id

    def get(self, verb: str, **query: object) -> TestResponse:
        return self.get_with({}, verb, **query)

    def get_with(self, headers: dict[str, str], verb: str, **query: object) -> TestResponse:
        asked = urlencode({"sessionId": str(self.id), **query})
        return self.api.get(f"/api/files/{verb}?{asked}", headers=headers)

    def read(self, verb: str, **query: object) -> Json:
        found = self.get(verb, **query)
        assert found.status_code == 200, found.get_data(as_text=True)
        return answer_json(found)

    def audited(self) -> list[Json]:
        """The rows of the audit as an admin sees them, oldest first."""
        page = answer_json(self.api.get(f"/api/admin/audit?sessionId={self.id}&limit=500"))
        return list(reversed(page["items"]))


@pytest.fixture
def settings(database: str, object_store: RunningStore, store_server: StoreServer) -> ApiSettings:
    return reading_settings(database, object_store, store_server)


def reading_settings(database: str, object_store: RunningStore, store_server: StoreServer) -> ApiSettings:
    """The API reads with a key that only reads, where the store is our own."""
    told = object_store.settings
    reading = store_server.reading_key if store_server.folder else (told.access_key_id, told.secret_access_key)
    return read_settings(
        database_url=database,
        secret_key=SECRET,
        database_pool_size=4,
        s3_endpoint_url=told.endpoint_url,
        s3_bucket=told.bucket,
        s3_read_access_key_id=reading[0],
        s3_read_secret_access_key=reading[1],
    )


@pytest.fixture
def make_saved(
    api: Api, conn: psycopg.Connection[Any], object_store: RunningStore, tmp_path: Path
) -> Callable[[], SavedSession]:
    objects = cast(Objects, LinksOf(object_store.open()))

    def make() -> SavedSession:
        session_id = UUID(answer_json(api.post("/api/sessions", {"title": "files"}))["sessionId"])
        return SavedSession(api, conn, SessionDisk(tmp_path / str(uuid4()), objects, session_id))

    return make


@pytest.fixture
def saved(make_saved: Callable[[], SavedSession]) -> SavedSession:
    return make_saved()


Terminal = Callable[..., list[str]]
"""Run `python -m cli files` with these arguments, and return the lines of its standard error."""


class _SilentHandler(WSGIRequestHandler):
    """Logs no request: the log would stand between what a command says."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002  werkzeug's name
        pass


@pytest.fixture
def terminal(api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """Commands of this process that reach the API over HTTP."""
    server = make_server("127.0.0.1", 0, api.client.application, threaded=True, request_handler=_SilentHandler)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    monkeypatch.setenv("RUNYARD_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("RUNYARD_TOKEN", api.token)

    def files(*arguments: object) -> list[str]:
        capsys.readouterr()
        status = main(["files", *map(str, arguments)])
        told = capsys.readouterr()
        assert status == 0, told.err
        return told.err.splitlines()

    yield files
    server.shutdown()
    serving.join()
    server.server_close()
