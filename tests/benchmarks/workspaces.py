"""G9, G10 and G11: a workspace of 50,000 small files, and one of 2 GB, saved, saved again, changed, and restored.

Ours is the whole snapshotter, from the start of its process to its last word, against the object store for trying
out on loopback. So are `rclone sync` and `aws s3 sync`, once each where they are installed. tar, zstd and restic work
on the local disk alone, which favours them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from uuid import UUID, uuid4

from jobs.object_store.contract import UploadTerms
from jobs.object_store.s3 import Bucket
from schema.wire import Json
from tests.benchmarks.baselines.other_programs import Others
from tests.benchmarks.figures import Rounds, in_turns
from tests.benchmarks.ground import ROOT
from tests.benchmarks.report import Line, Wanted, rated
from tests.benchmarks.trees import CHANGED, change_byte, change_files, left_behind, make_large_files, make_tree
from tests.integration.executor.snapshotter.session_disk import ALL
from tests.object_stores import RunningStore, new_server, with_bucket

LINK_SECONDS = 600.0
SECRETS = [f"sk-benchmark-{number}-{'0123456789abcdef' * 4}" for number in range(8)]
"""Secret values that every save searches for, as many and as long as an executor with several providers knows."""


def workspaces() -> Iterator[Line]:
    """The snapshotter against programs that work on the local disk."""
    with _ground() as (folder, store):
        make_tree(folder / "tree")
        saved_tree, others = SavedTree(folder, folder / "tree", store), Others(folder, folder / "tree", store)
        yield from first_saves(saved_tree, others)
        yield from small_changes(saved_tree, others)
        yield from restores(saved_tree, others)


def sync_program(program: str) -> Iterator[Line]:
    """The snapshotter against a program that brings files to the same store, once, if it is there."""
    if not shutil.which(program):
        yield Line("-", program, "-", note="not measured: it is not installed")
        return
    with _ground() as (folder, store):
        tree, large = folder / "tree", folder / "large"
        make_tree(tree)
        saved_tree, others = SavedTree(folder, tree, store), Others(folder, tree, store)
        yield from _synced(program, "50,000 files", saved_tree, others, lambda: change_files(tree, 77))
        make_large_files(large / "tree")
        saved_tree, others = SavedTree(large, large / "tree", store), Others(large, large / "tree", store, into="large")
        yield from _synced(
            program, "2 GB in 8 files", saved_tree, others, lambda: change_byte(saved_tree.tree / "model-3.bin")
        )


@contextmanager
def _ground() -> Iterator[tuple[Path, RunningStore]]:
    with tempfile.TemporaryDirectory(prefix="runyard-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with running_store(folder / "server") as store:
            yield folder, store


def _synced(
    program: str, what: str, saved_tree: SavedTree, others: Others, change: Callable[[], None]
) -> Iterator[Line]:
    """The larger a ratio, the slower the other program. A first sync takes minutes, in which the machine may change:
    ours is measured right before it and right after."""
    target = "G9" if program == "rclone" and what.startswith("50,000") else "-"
    wanted = Wanted(">=", 20) if target == "G9" else None
    before, theirs = saved_tree.first_save(), others.sync(program)
    rounds = Rounds((theirs, theirs), (before, saved_tree.first_save()))
    yield rated(target, f"{program}: first sync of {what}, against ours", rounds, unit="s", wanted=wanted)
    yield _once(f"{program}: sync of {what} without a change", others.sync(program), saved_tree.save())
    change()
    yield _once(f"{program}: sync of {what} after a small change", others.sync(program), saved_tree.save())
    yield _once(f"{program}: restore of {what}", others.sync(program, back=True), saved_tree.restore())
    yield Line("-", f"memory of our snapshotter with {what}, at most", f"{saved_tree.peak_bytes / 2**20:.0f} MiB")


def _once(what: str, theirs: float, ours: float) -> Line:
    return rated("-", f"{what}, against ours", Rounds((theirs,), (ours,)), unit="s", wanted=None)


def first_saves(saved_tree: SavedTree, others: Others) -> Iterator[Line]:
    rounds = in_turns(saved_tree.first_save, others.pack_by_tar)
    note = f"The snapshotter's process took at most {saved_tree.peak_bytes / 2**20:.0f} MiB of memory."
    what = "first save of 50,000 files, against `tar \\| zstd -3` to the local disk"
    yield rated("G9", what, rounds, unit="s", wanted=Wanted("<=", 3.5), note=note)
    rounds = in_turns(saved_tree.first_save, saved_tree.first_save_without_search)
    what = f"first save of 50,000 files that searches for {len(SECRETS)} secrets, against one that knows none"
    yield rated("-", what, rounds, unit="s", wanted=None)


def small_changes(saved_tree: SavedTree, others: Others) -> Iterator[Line]:
    what = f"save after {CHANGED} files changed, against"
    yield rated(
        "G10", f"{what} a bare scan", in_turns(saved_tree.change, others.scan), unit="s", wanted=Wanted("<=", 3)
    )
    if shutil.which("restic"):
        others.restic("init")
        others.restic("backup", str(saved_tree.tree))
        rounds = in_turns(saved_tree.change, others.change_for_restic)
        yield rated("G10", f"{what} restic, local disk", rounds, unit="s", wanted=Wanted("<=", 0.35))
    yield rated(
        "-", "save without a change, against a bare scan", in_turns(saved_tree.save, others.scan), unit="s", wanted=None
    )


def restores(saved_tree: SavedTree, others: Others) -> Iterator[Line]:
    what = "restore of 50,000 files, against"
    rounds = in_turns(saved_tree.restore, others.unpack_by_tar)
    yield rated("G11", f"{what} `zstd -d \\| tar -x`", rounds, unit="s", wanted=Wanted("<=", 1.5))
    rounds = in_turns(saved_tree.restore, others.unpack_by_tar_and_flush)
    yield rated("-", f"{what} the same and `sync -f`, as ours does", rounds, unit="s", wanted=None)
    if shutil.which("restic"):
        rounds = in_turns(saved_tree.restore, others.restore_by_restic)
        yield rated("G11", f"{what} restic, local disk", rounds, unit="s", wanted=Wanted("<=", 0.8))


@contextmanager
def running_store(folder: Path) -> Iterator[RunningStore]:
    folder.mkdir()
    server = new_server(folder)
    server.start()
    try:
        yield with_bucket(server)
    finally:
        server.end()


@dataclass
class SavedTree:
    """A session whose workspace is the tree. Every figure is in seconds, process start included."""

    folder: Path
    tree: Path
    store: RunningStore
    session_id: UUID = field(default_factory=uuid4)
    head: str | None = None
    head_digest: str | None = None
    secrets: list[str] = field(default_factory=lambda: list(SECRETS))
    numbers: Iterator[int] = field(default_factory=count)
    peak_bytes: int = 0

    def first_save(self) -> float:
        self.session_id, self.head, self.head_digest = uuid4(), None, None
        self._index.unlink(missing_ok=True)
        return self.save()

    def first_save_without_search(self) -> float:
        """Save as an executor does that knows no secret."""
        secrets, self.secrets = self.secrets, []
        seconds = self.first_save()
        self.secrets = secrets
        return seconds

    def save(self) -> float:
        order: Json = {"kind": "sync", "head": self.head, "headDigest": self.head_digest, "atRest": True, "ignore": []}
        seconds, receipt = self._run({**order, "snapshotId": str(uuid4())}, self.tree)
        self.head, self.head_digest = receipt["snapshotId"], receipt["manifestDigest"]
        return seconds

    def change(self) -> float:
        change_files(self.tree, next(self.numbers))
        return self.save()

    def restore(self) -> float:
        target = left_behind(self.folder)
        order = {"kind": "restore", "snapshotId": self.head, "manifestDigest": self.head_digest, "plan": ALL}
        seconds, _ = self._run(order, target)
        return seconds

    @property
    def _index(self) -> Path:
        return self.folder / "index"

    def _run(self, order: Json, workspace: Path) -> tuple[float, Json]:
        home, new = self.folder / "home", self.folder / "index.new"
        home.mkdir(exist_ok=True)
        index_in = os.open(self._index, os.O_RDONLY) if self._index.exists() else None
        index_out = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        passed = [one for one in (index_in, index_out) if one is not None]
        given = {
            "sessionId": str(self.session_id),
            "workspace": str(workspace),
            "home": str(home),
            "keep": [],
            "drop": [],
            "secrets": self.secrets,
        }
        os.sync()
        began = time.monotonic()
        done = self._talk({**order, **given, "indexIn": index_in, "indexOut": index_out}, passed)
        seconds = time.monotonic() - began
        for one in passed:
            os.close(one)
        if done["hasIndex"] and order["kind"] == "sync":
            new.replace(self._index)
        return seconds, done["receipt"]

    def _talk(self, order: Json, passed: list[int]) -> Json:
        bucket = self.store.open()
        engine = subprocess.Popen(
            [sys.executable, "-P", "-X", "utf8", "-m", "executor.snapshotter"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            pass_fds=passed,
        )
        with engine:
            assert engine.stdin is not None
            assert engine.stdout is not None
            for message in self._answers(engine.stdout, partial(_link, bucket), order):
                if "done" in message:
                    _, status, usage = os.wait4(engine.pid, 0)
                    engine.returncode = os.waitstatus_to_exitcode(status)
                    self.peak_bytes = max(self.peak_bytes, usage.ru_maxrss * 1024)
                    return dict(message["done"])
                engine.stdin.write(json.dumps(message).encode() + b"\n")
                engine.stdin.flush()
        raise AssertionError("the engine did not do it")

    def _answers(self, lines: object, link: Callable[[Json], str], order: Json) -> Iterator[Json]:
        """What the engine is told, and at last what it says."""
        yield order
        for line in lines:  # type: ignore[attr-defined]
            [(what, value)] = json.loads(line).items()
            assert what != "failed", value
            if what == "done":
                yield {"done": value}
            if what == "wants" and value:
                yield {"links": {f"{want['method']} {want['key']}": link(want) for want in value}}


def _link(bucket: Bucket, want: Json) -> str:
    if want["method"] == "GET":
        return bucket.download_link(want["key"], LINK_SECONDS)
    once = bucket.write_features().proves_single_writes
    return bucket.upload_link(want["key"], UploadTerms(want["size"], want["md5"], once=once), LINK_SECONDS)
