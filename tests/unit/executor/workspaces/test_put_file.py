"""A live file that changes while it is uploaded is refused, not sent as a mixture."""

from __future__ import annotations

import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from executor.process.account import AgentAccount
from executor.workspaces.live_files import FileChanging, version_of
from executor.workspaces.put_file import put_file
from schema.live_files import FilePut, PutFile

SIZE = 2 << 20


class Store(HTTPServer):
    """Takes PUTs. It overwrites a file in place, if told, when half of the bytes have come."""

    overwrites: Path | None = None


class Handler(BaseHTTPRequestHandler):
    server: Store

    def do_PUT(self) -> None:
        half = int(self.headers["Content-Length"]) // 2
        self.rfile.read(half)
        if self.server.overwrites is not None:
            with self.server.overwrites.open("r+b") as file:
                file.write(b"b" * SIZE)
        self.rfile.read(half)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def store() -> Iterator[Store]:
    with Store(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def put(workspace: Path, store: Store) -> FilePut:
    version = version_of(os.stat(workspace / "file"))
    link = f"http://127.0.0.1:{store.server_port}/key?signed"
    request = PutFile(path="file", version=version, start=0, end=SIZE, link=link)
    return put_file(workspace, AgentAccount(), request)


def test_a_file_is_put_whole(tmp_path: Path, store: Store) -> None:
    (tmp_path / "file").write_bytes(b"a" * SIZE)
    assert put(tmp_path, store).bytes == SIZE


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path, store: Store) -> None:
    (tmp_path / "file").write_bytes(b"a" * SIZE)
    store.overwrites = tmp_path / "file"
    with pytest.raises(FileChanging):
        put(tmp_path, store)
