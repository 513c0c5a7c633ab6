"""The store for trying out: what it has acknowledged is there after a kill, and nobody gets in without the key."""

from __future__ import annotations

import hashlib
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from jobs.object_store.contract import UploadTerms
from jobs.object_store.errors import StoreError
from jobs.object_store.s3 import Bucket
from schema.upload_headers import content_md5
from tests.object_stores import ROOT, StoreServer, with_bucket

KILLS = 3
WRITERS = 4
ACKNOWLEDGED_BEFORE_KILL = 12


def write_until_killed(
    put: Callable[[str, bytes], bool], *, name: str, enough: threading.Semaphore
) -> dict[str, str | None]:
    """What was acknowledged, as digests; None for a key whose last write was not, so either of two may be there."""
    acknowledged: dict[str, str | None] = {}
    for number in range(10_000):
        key = f"{name}/again" if number % 3 == 0 else f"{name}/{number}"
        content = os.urandom(200_000 if number % 2 else 3000)
        is_acknowledged = put(key, content)
        if not is_acknowledged:
            acknowledged[key] = None
            return acknowledged
        acknowledged[key] = hashlib.sha256(content).hexdigest()
        enough.release()
    return acknowledged


def put_by_link(store: Bucket, key: str, content: bytes) -> bool:
    try:
        return httpx.put(store.upload_link(key, UploadTerms(len(content))), content=content).status_code == 200
    except httpx.HTTPError:
        return False


def test_what_was_acknowledged_is_there_after_kills(own_store_server: StoreServer) -> None:
    store = with_bucket(own_store_server).open()
    expected: dict[str, str | None] = {}
    for kill in range(KILLS):
        enough = threading.Semaphore(0)
        with ThreadPoolExecutor(WRITERS) as threads:
            write = partial(write_until_killed, partial(put_by_link, store), enough=enough)
            writing = [threads.submit(write, name=f"{kill}-{writer}") for writer in range(WRITERS)]
            for _ in range(ACKNOWLEDGED_BEFORE_KILL):
                assert enough.acquire(timeout=60)
            own_store_server.kill()
            for each in writing:
                expected |= each.result()
        own_store_server.start()
    sure = {key: digest for key, digest in expected.items() if digest is not None}
    assert {key: hashlib.sha256(store.read(key)).hexdigest() for key in sure} == sure
    for stored in store.list(""):
        assert len(store.read(stored.key)) == stored.size


def test_a_killed_server_leaves_no_bytes_without_a_name(own_store_server: StoreServer) -> None:
    store = with_bucket(own_store_server).open()
    store.write("kept", b"1")
    link = urlsplit(store.upload_link("half", UploadTerms(9_000_000)))
    with socket.create_connection(("127.0.0.1", own_store_server.port)) as client:
        head = f"PUT {link.path}?{link.query} HTTP/1.1\r\nHost: {link.netloc}\r\nContent-Length: 9000000\r\n\r\n"
        client.sendall(head.encode() + b"x" * 4_000_000)
        wait_for_files(own_store_server, 2)
        own_store_server.kill()
    own_store_server.start()
    assert [stored.key for stored in store.list("")] == ["kept"]
    assert files_of(own_store_server) == 1


def test_half_an_upload_is_no_object(own_store_server: StoreServer) -> None:
    store = with_bucket(own_store_server).open()
    link = urlsplit(store.upload_link("half", UploadTerms(9_000_000)))
    with socket.create_connection(("127.0.0.1", own_store_server.port)) as client:
        head = f"PUT {link.path}?{link.query} HTTP/1.1\r\nHost: {link.netloc}\r\nContent-Length: 9000000\r\n\r\n"
        client.sendall(head.encode() + b"x" * 4_000_000)
        wait_for_files(own_store_server, 1)
    wait_for_files(own_store_server, 0)
    assert store.sizes(["half"]) == {}


def test_what_does_not_fit_on_the_disk_is_refused_and_leaves_what_was_there(own_store_server: StoreServer) -> None:
    """A limit on the size of files stands for the full disk: a write takes a part, the next one nothing."""
    store = with_bucket(own_store_server).open()
    store.write("a", b"before")
    assert own_store_server.process is not None
    resource.prlimit(own_store_server.process.pid, resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    with pytest.raises(StoreError) as caught:
        store.write("a", b"x" * 1_000_001)
    assert caught.value.kind == "full"
    assert store.read("a") == b"before"
    assert files_of(own_store_server) == 1


def test_only_one_server_has_a_folder(own_store_server: StoreServer) -> None:
    folder = own_store_server.folder
    assert folder is not None
    command = [sys.executable, "-m", "cli.local.object_store_server", "--folder", str(folder / "store")]
    command += ["--key-file", str(folder / "key"), "--port", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Another process serves" in done.stderr


def test_a_body_that_was_not_signed_is_refused(own_store_server: StoreServer) -> None:
    running = with_bucket(own_store_server)
    link = running.open().upload_link("a", UploadTerms(1))
    assert httpx.put(link, content=b"1", headers={"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}).status_code == 400
    assert httpx.put(link, content=b"1", headers={"x-amz-copy-source": "/b/k"}).status_code == 403
    assert running.keys() == set()


def test_a_repeated_header_is_refused_whichever_value_is_signed(own_store_server: StoreServer) -> None:
    store = with_bucket(own_store_server).open()
    link = store.upload_link("a", UploadTerms(4, content_md5(b"good"), once=True))
    signed = [("if-none-match", "*"), ("content-md5", content_md5(b"good"))]
    others = [("if-none-match", ""), ("content-md5", content_md5(b"evil"))]
    assert httpx.put(link, content=b"good", headers=signed).status_code == 200
    for headers in ([*others, *signed], [*signed, *others], [*signed, signed[0]]):
        answer = httpx.put(link, content=b"evil", headers=headers)
        assert (answer.status_code, "<Code>InvalidRequest</Code>" in answer.text) == (400, True)
    assert store.read("a") == b"good"


def test_nobody_is_served_without_a_signature(own_store_server: StoreServer) -> None:
    bucket = with_bucket(own_store_server).settings.bucket
    forged = {"authorization": "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=x"}
    answers = {
        (
            method,
            path,
            httpx.request(method, f"{own_store_server.settings.endpoint_url}{path}", headers=headers).status_code,
        )
        for method in ("GET", "PUT", "POST", "DELETE")
        for path in ("/", f"/{bucket}", f"/{bucket}?list-type=2", f"/{bucket}/key", "/_ministack/reset")
        for headers in ({}, forged)
    }
    assert {status for _, _, status in answers} == {403}, answers


def test_its_log_holds_no_link(own_store_server: StoreServer) -> None:
    store = with_bucket(own_store_server).open()
    httpx.put(store.upload_link("a", UploadTerms(1)), content=b"1")
    httpx.get(store.download_link("nothing"))
    assert own_store_server.folder is not None
    assert "X-Amz" not in (own_store_server.folder / "store.log").read_text()


def files_of(server: StoreServer) -> int:
    assert server.folder is not None
    return len(list((server.folder / "store" / "bytes").glob("*/*")))


def wait_for_files(server: StoreServer, count: int) -> None:
    with httpx.Client() as client:  # each look is a request, so that this waits and does not spin
        for _ in range(5000):
            if files_of(server) == count:
                return
            client.get(f"{server.settings.endpoint_url}/")
    pytest.fail(f"there are {files_of(server)} files, not {count}")


def test_data_of_another_folder_are_not_touched(own_store_server: StoreServer, tmp_path: Path) -> None:
    store = with_bucket(own_store_server).open()
    store.write("../../../escaped", b"1")
    assert store.read("../../../escaped") == b"1"
    assert {path.name for path in tmp_path.iterdir()} == {"key", "read-key", "store", "store.log"}
