"""G9, G10 and G11: a workspace of 50,000 small files saved, saved again after a small change, and restored.

Ours is the whole engine, from the start of its process to its last word, against the object store for trying out on
loopback; so is rclone. tar, zstd and restic work on the local disk alone, which favours them.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from uuid import UUID, uuid4

from schema.wire import Json
from tests.benchmarks.figures import Rounds, in_turns
from tests.benchmarks.ground import ROOT
from tests.benchmarks.report import Line, Wanted, rated
from tests.integration.engine.places import ALL
from tests.object_stores import RunningStore, new_server, with_bucket

PACKAGES, FILES_EACH, CHANGED = 1250, 40, 20
LINK_SECONDS = 600.0
BARE_SCAN = """
import os, sys
def walk(folder):
    with os.scandir(folder) as listing:
        for entry in listing:
            entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                walk(entry.path)
walk(sys.argv[1])
"""


def workspaces() -> Iterator[Line]:
    """The table's rows."""
    with tempfile.TemporaryDirectory(prefix="runyard-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with running_store(folder / "server") as store:
            tree = folder / "tree"
            make_tree(tree)
            place, others = Place(folder, tree, store), Others(folder, tree, store)
            yield from first_saves(place, others)
            yield from small_changes(place, others)
            yield from restores(place, others)


def first_saves(place: Place, others: Others) -> Iterator[Line]:
    rounds = in_turns(place.first_save, others.pack_by_tar)
    note = f"The engine's process took at most {place.peak_bytes / 2**20:.0f} MiB of memory."
    what = "first save of 50,000 files, against `tar | zstd -3` to the local disk"
    yield rated("G9", what, rounds, unit="s", wanted=Wanted("<=", 3.5), note=note)
    if shutil.which("rclone"):
        once = Rounds((others.rclone(),), (place.first_save(),))
        what = "rclone sync (32 transfers) to the same store, against our first save"
        yield rated("G9", what, once, unit="s", wanted=Wanted(">=", 20), note="One round.")


def small_changes(place: Place, others: Others) -> Iterator[Line]:
    what = f"save after {CHANGED} files changed, against"
    yield rated("G10", f"{what} a bare scan", in_turns(place.change, others.scan), unit="s", wanted=Wanted("<=", 3))
    if shutil.which("restic"):
        others.restic("init")
        others.restic("backup", str(place.tree))
        rounds = in_turns(place.change, others.change_for_restic)
        yield rated("G10", f"{what} restic, local disk", rounds, unit="s", wanted=Wanted("<=", 0.35))
    yield rated(
        "-", "save without a change, against a bare scan", in_turns(place.save, others.scan), unit="s", wanted=None
    )


def restores(place: Place, others: Others) -> Iterator[Line]:
    what = "restore of 50,000 files, against"
    rounds = in_turns(place.restore, others.unpack_by_tar)
    yield rated("G11", f"{what} `zstd -d \\| tar -x`", rounds, unit="s", wanted=Wanted("<=", 1.5))
    rounds = in_turns(place.restore, others.unpack_by_tar_and_flush)
    yield rated("-", f"{what} the same and `sync -f`, as ours does", rounds, unit="s", wanted=None)
    if shutil.which("restic"):
        rounds = in_turns(place.restore, others.restore_by_restic)
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


def make_tree(root: Path) -> None:
    """Like node_modules: 50,000 files in 8,750 folders, 3.3 KB each on average, which compress to a third or so."""
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 11))) for _ in range(3000)]
    signs = [" ", " ", " ", "\n  ", "(", ");\n", " = ", ".", ", ", " {\n", "}\n"]
    for package in range(PACKAGES):
        for number in range(FILES_EACH):
            folder = root / f"p{package}" / ("lib", "dist/cjs", "dist/esm", "test", "types/x")[number % 5]
            folder.mkdir(parents=True, exist_ok=True)
            size = int(chance.lognormvariate(5.3, 1.1))
            text = "".join(word + chance.choice(signs) for word in chance.choices(words, k=size))
            (folder / f"m{number}.js").write_text(text[:400_000])


def timed(command: list[str], **environment: str) -> float:
    """Seconds."""
    began = time.monotonic()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    subprocess.run(command, check=True, capture_output=True, env={**inherited, **environment})
    return time.monotonic() - began


@dataclass
class Place:
    """A session whose workspace is the tree. Every figure is in seconds, process start included."""

    folder: Path
    tree: Path
    store: RunningStore
    session_id: UUID = field(default_factory=uuid4)
    head: str | None = None
    head_digest: str | None = None
    numbers: Iterator[int] = field(default_factory=count)
    peak_bytes: int = 0

    def first_save(self) -> float:
        self.session_id, self.head, self.head_digest = uuid4(), None, None
        self._index.unlink(missing_ok=True)
        return self.save()

    def save(self) -> float:
        order: Json = {"kind": "sync", "head": self.head, "headDigest": self.head_digest, "atRest": True, "ignore": []}
        seconds, receipt = self._run({**order, "snapshotId": str(uuid4())}, self.tree)
        self.head, self.head_digest = receipt["snapshotId"], receipt["manifestDigest"]
        return seconds

    def change(self) -> float:
        change_files(self.tree, next(self.numbers))
        return self.save()

    def restore(self) -> float:
        target = self.folder / "restored"
        target.mkdir()
        order = {"kind": "restore", "snapshotId": self.head, "manifestDigest": self.head_digest, "plan": ALL}
        seconds, _ = self._run(order, target)
        shutil.rmtree(target)
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
        }
        began = time.monotonic()
        done = self._talk({**order, **given, "indexIn": index_in, "indexOut": index_out}, passed)
        seconds = time.monotonic() - began
        for one in passed:
            os.close(one)
        if done["hasIndex"] and order["kind"] == "sync":
            new.replace(self._index)
        self.peak_bytes = max(self.peak_bytes, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
        return seconds, done["receipt"]

    def _talk(self, order: Json, passed: list[int]) -> Json:
        bucket = self.store.open()
        engine = subprocess.Popen(
            [sys.executable, "-P", "-X", "utf8", "-m", "executor.saving"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            pass_fds=passed,
        )
        with engine:
            assert engine.stdin is not None
            assert engine.stdout is not None
            for message in self._answers(engine.stdout, bucket.link, order):
                if "done" in message:
                    return dict(message["done"])
                engine.stdin.write(json.dumps(message).encode() + b"\n")
                engine.stdin.flush()
        raise AssertionError("the engine did not do it")

    def _answers(self, lines: object, link: Callable[[str, str, float], str], order: Json) -> Iterator[Json]:
        """What the engine is told, and at last what it says."""
        yield order
        for line in lines:  # type: ignore[attr-defined]
            [(what, value)] = json.loads(line).items()
            assert what != "failed", value
            if what == "done":
                yield {"done": value}
            if what == "wants" and value:
                wanted = [(want["method"], want["key"]) for want in value]
                yield {"links": {f"{method} {key}": link(method, key, LINK_SECONDS) for method, key in wanted}}


def change_files(tree: Path, number: int) -> None:
    """Other files in each round, 20 of them, in as many folders."""
    for which in range(CHANGED):
        package = (number * CHANGED + which) % PACKAGES
        (tree / f"p{package}" / "lib" / "m0.js").write_text(f"changed in round {number}\n")


@dataclass
class Others:
    """The same by other programs. Every figure is in seconds."""

    folder: Path
    tree: Path
    store: RunningStore
    numbers: Iterator[int] = field(default_factory=lambda: count(10_000))

    def scan(self) -> float:
        return timed([sys.executable, "-c", BARE_SCAN, str(self.tree)])

    def pack_by_tar(self) -> float:
        return timed(["sh", "-c", f"tar -C {self.tree} -cf - . | zstd -3 -q -f -o {self.folder}/tree.tar.zst"])

    def unpack_by_tar(self, *, then: str = "true") -> float:
        target = self.folder / "unpacked"
        target.mkdir()
        seconds = timed(["sh", "-c", f"zstd -dcq {self.folder}/tree.tar.zst | tar -C {target} -xf - && {then}"])
        shutil.rmtree(target)
        return seconds

    def unpack_by_tar_and_flush(self) -> float:
        return self.unpack_by_tar(then=f"sync -f {self.folder}")

    def rclone(self) -> float:
        told = self.store.settings
        options = f"provider=Other,list_version=2,env_auth=true,region={told.region},endpoint='{told.endpoint_url}'"
        where = f":s3,{options}:{told.bucket}/rclone"
        flags = ["--transfers", "32", "--checkers", "32", "--s3-no-check-bucket", "--config", "/dev/null"]
        keys = {"AWS_ACCESS_KEY_ID": told.access_key_id or "", "AWS_SECRET_ACCESS_KEY": told.secret_access_key or ""}
        return timed(["rclone", "sync", *flags, str(self.tree), where], **keys)

    def restic(self, *arguments: str) -> float:
        repository = str(self.folder / "restic")
        cache = ["--cache-dir", str(self.folder / "cache"), "--quiet"]
        return timed(["restic", "-r", repository, *cache, *arguments], RESTIC_PASSWORD="x")

    def change_for_restic(self) -> float:
        change_files(self.tree, next(self.numbers))
        return self.restic("backup", str(self.tree))

    def restore_by_restic(self) -> float:
        target = self.folder / "by-restic"
        seconds = self.restic("restore", "latest", "--target", str(target))
        shutil.rmtree(target)
        return seconds
