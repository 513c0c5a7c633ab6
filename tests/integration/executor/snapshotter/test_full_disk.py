"""A disk that is full while the engine, as a process, writes: it says so, takes back what it wrote, and the place can
be used. The disk is the size that the kernel lets the process give a file (RLIMIT_FSIZE)."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

from executor.snapshotter.ignore import STAGING
from executor.snapshotter.index import read_index
from tests.integration.executor.snapshotter.session_disk import ALL, SessionDisk
from tests.integration.executor.snapshotter.trees import look

ROOT = Path(__file__).parents[4]
LARGEST_FILE = 64 << 10


def run_engine(disk: SessionDisk, order: dict[str, Any], *, largest_file: int) -> dict[str, Any]:
    """Its last word."""
    index_out = os.open(disk.folder / "index", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    engine = subprocess.Popen(
        [sys.executable, "-P", "-m", "executor.snapshotter"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        pass_fds=[index_out],
    )
    resource.prlimit(engine.pid, resource.RLIMIT_FSIZE, (largest_file, largest_file))
    os.close(index_out)
    roots = {
        "workspace": str(disk.workspace),
        "home": str(disk.home),
        "keep": disk.keep,
        "drop": disk.drop,
        "secrets": [],
    }
    ids = {"sessionId": str(disk.session_id), "snapshotId": str(uuid4())}
    say(engine, {**ids, **roots, "indexIn": None, "indexOut": index_out, **order})
    assert engine.stdout is not None
    for line in engine.stdout:
        [(what, value)] = json.loads(line).items()
        if what == "wants" and value:
            names = [(want["method"], want["key"]) for want in value]
            say(engine, {"links": {f"{method} {key}": disk.objects.link(method, key) for method, key in names}})
        elif what in {"done", "failed"}:
            engine.stdout.close()
            assert engine.stdin is not None
            engine.stdin.close()
            engine.wait(20)
            return {what: value}
    raise AssertionError("the engine ended without a word")


def say(engine: subprocess.Popen[bytes], message: dict[str, Any]) -> None:
    assert engine.stdin is not None
    engine.stdin.write(json.dumps(message).encode() + b"\n")
    engine.stdin.flush()


def test_a_restore_that_fills_the_disk_fails_and_gives_the_space_back(disk: SessionDisk) -> None:
    for number in range(20):
        (disk.workspace / f"small{number}").write_text("x" * 1000)
    (disk.workspace / "big").write_bytes(os.urandom(2 * LARGEST_FILE))
    disk.save()
    there = disk.another("there")
    (there.workspace / "big").write_text("what was there")
    before = look(there.workspace)
    order = {"kind": "restore", "snapshotId": str(disk.head), "manifestDigest": disk.digests[disk.head], "plan": ALL}
    said = run_engine(there, order, largest_file=LARGEST_FILE)
    assert said["failed"]["code"] == "disk_full"
    assert look(there.workspace) == before
    assert not (there.workspace / STAGING).exists()

    assert "done" in run_engine(there, order, largest_file=resource.RLIM_INFINITY)
    assert (there.workspace / "big").read_bytes() == (disk.workspace / "big").read_bytes()


def test_a_save_needs_no_room_on_the_disk(disk: SessionDisk) -> None:
    for number in range(2000):
        (disk.workspace / f"f{number}").write_text(f"{number}")
    order: dict[str, Any] = {"kind": "sync", "head": None, "headDigest": None, "atRest": True, "ignore": []}
    said = run_engine(disk, order, largest_file=LARGEST_FILE)
    assert said["done"]["hasIndex"] is False
    assert said["done"]["receipt"]["files"] == 2000
    said = run_engine(disk, order, largest_file=resource.RLIM_INFINITY)
    assert said["done"]["hasIndex"] is True
    assert read_index((disk.folder / "index").read_bytes()) is not None
