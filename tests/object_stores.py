"""Fixtures: an object store with a bucket of its own for every test, and a way to it that can be hurt.

The server is the one that `make up` starts, or any other S3 endpoint: TEST_S3_ENDPOINT_URL, TEST_S3_ACCESS_KEY_ID,
TEST_S3_SECRET_ACCESS_KEY, TEST_S3_REGION. It belongs to one test process and dies with it.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from jobs.object_store.s3 import Bucket, make_store
from jobs.object_store.settings import StoreSettings
from tests.store_faults import HurtStore

ROOT = Path(__file__).parents[1]
START_SECONDS = 60.0


@dataclass
class StoreServer:
    """A running server of objects; `settings` are those of no bucket yet. `kill` and `start` are for our own only."""

    settings: StoreSettings
    folder: Path | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        assert self.settings.endpoint_url is not None
        return int(self.settings.endpoint_url.rsplit(":", 1)[1])

    def start(self) -> None:
        """Raises AssertionError with what it said when it does not listen."""
        assert self.folder is not None
        command = [sys.executable, "-m", "cli.local.object_store_server", "--folder", str(self.folder / "store")]
        command += ["--key-file", str(self.folder / "key"), "--read-key-file", str(self.folder / "read-key")]
        command += ["--port", str(self.port)]
        with (self.folder / "store.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not _listens(self.port):
            said = (self.folder / "store.log").read_text()
            assert self.process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL, as a machine's end would be; what is on the disk stays."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def end(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)

    @property
    def reading_key(self) -> tuple[str, str]:
        """A key of our own server that only reads."""
        assert self.folder is not None
        access_key, secret = (self.folder / "read-key").read_text().split()
        return access_key, secret


@dataclass(frozen=True)
class RunningStore:
    """A bucket of one test. `environment` is what a job worker is told of it."""

    settings: StoreSettings

    def open(self) -> Bucket:
        return make_store(self.settings)

    @property
    def environment(self) -> dict[str, str]:
        told = self.settings
        assert told.endpoint_url is not None
        return {
            "S3_ENDPOINT_URL": told.endpoint_url,
            "S3_BUCKET": told.bucket,
            "S3_REGION": told.region,
            "S3_ACCESS_KEY_ID": told.access_key_id or "",
            "S3_SECRET_ACCESS_KEY": told.secret_access_key or "",
            "RUNYARD_WITHOUT_STORE": "0",
        }

    def at(self, endpoint_url: str) -> RunningStore:
        """The same bucket by another way."""
        return RunningStore(replace(self.settings, endpoint_url=endpoint_url))

    def keys(self) -> set[str]:
        return {stored.key for stored in self.open().list("")}


@pytest.fixture(scope="session")
def store_server() -> Iterator[StoreServer]:
    endpoint = os.environ.get("TEST_S3_ENDPOINT_URL")
    if endpoint:
        yield StoreServer(elsewhere(endpoint))
        return
    with tempfile.TemporaryDirectory(prefix="runyard-store-", ignore_cleanup_errors=True) as folder:
        server = new_server(Path(folder))
        server.start()
        yield server
        server.end()


@pytest.fixture
def own_store_server(tmp_path: Path) -> Iterator[StoreServer]:
    """One that a test may kill and start again."""
    server = new_server(tmp_path)
    server.start()
    yield server
    server.end()


@pytest.fixture
def object_store(store_server: StoreServer) -> Iterator[RunningStore]:
    """An empty bucket that only this test uses."""
    running = with_bucket(store_server)
    yield running
    remove_bucket(running)


@pytest.fixture
def hurt_store(object_store: RunningStore) -> Iterator[HurtStore]:
    """The way to `object_store` that can be hurt: `object_store.at(hurt_store.url)` goes it."""
    assert object_store.settings.endpoint_url is not None
    hurt = HurtStore(object_store.settings.endpoint_url)
    yield hurt
    hurt.close()


def elsewhere(endpoint: str) -> StoreSettings:
    return StoreSettings(
        bucket="",
        endpoint_url=endpoint.rstrip("/"),
        region=os.environ.get("TEST_S3_REGION", "us-east-1"),
        access_key_id=os.environ["TEST_S3_ACCESS_KEY_ID"],
        secret_access_key=os.environ["TEST_S3_SECRET_ACCESS_KEY"],
    )


def new_server(folder: Path) -> StoreServer:
    access_key, secret = secrets.token_hex(10), secrets.token_urlsafe(30)
    (folder / "key").write_text(f"{access_key}\n{secret}\n")
    (folder / "read-key").write_text(f"{secrets.token_hex(10)}\n{secrets.token_urlsafe(30)}\n")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    settings = StoreSettings(bucket="", endpoint_url=url, access_key_id=access_key, secret_access_key=secret)
    return StoreServer(settings, folder)


def with_bucket(server: StoreServer) -> RunningStore:
    running = RunningStore(replace(server.settings, bucket=f"test-{secrets.token_hex(8)}"))
    running.open().ensure_bucket()
    return running


def remove_bucket(running: RunningStore) -> None:
    store = running.open()
    store.delete([stored.key for stored in store.list("")])
    store.remove_empty_bucket()


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
