"""G21: a folder of 100,000 saved files, listed page by page over HTTP without a worker."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psutil
import psycopg

from tests.benchmarks.figures import Rounds, in_turns, percentile
from tests.benchmarks.ground import Gunicorn, fresh_database, make_sources, make_token, running_server, serving
from tests.benchmarks.report import Line, Wanted, rated
from tests.benchmarks.workspaces import SavedTree, running_store

MANY, FEW, LIMIT = 100_000, 100, 50
READS = 20
MOST_SECONDS, MOST_MIB = 1.0, 50
_INSERT = """INSERT INTO snapshots (id, session_id, number, epoch, reason, seq, at_rest, files, bytes, changed,
    uploaded_bytes, objects, manifest_digest)
    SELECT %s, %s, count(*) + 1, 1, 'run', 1, true, %s, 1, 1, 0, '{}', %s FROM snapshots WHERE session_id = %s"""


def files() -> Iterator[Line]:
    """The first page of a tree that no process has read, then pages after it."""
    with (
        tempfile.TemporaryDirectory(prefix="runyard-bench-", ignore_cleanup_errors=True) as name,
        running_store(Path(name) / "server") as store,
        running_server() as server,
        fresh_database(server) as dsn,
        serving("functions.wsgi:app", dsn, settings=store.environment) as api,
    ):
        many, few = (SavedFolder(Path(name) / str(count), count, dsn, store) for count in (MANY, FEW))
        with httpx.Client(headers={"Authorization": f"Bearer {make_token(dsn)}"}, trust_env=False, timeout=60) as http:
            few.save()
            _first_page(api, http, few)
            before = _memory(api)
            opened = []
            grown = 0.0
            for _ in range(3):
                many.save()
                opened.append(_first_page(api, http, many))
                grown = grown or _memory(api) - before
            rounds = Rounds(tuple(opened), (MOST_SECONDS,) * 3)
            yield rated("G21", f"first page of {MANY:,} files, against 1 s", rounds, unit="s", wanted=Wanted("<=", 1))
            memory = Rounds((grown,), (float(MOST_MIB),))
            what = f"memory that the first tree of {MANY:,} files adds, against {MOST_MIB} MiB"
            yield rated("G21", what, memory, unit="MiB", wanted=Wanted("<=", 1))
            turns = in_turns(lambda: _later_page(api, http, many), lambda: _later_page(api, http, few), rounds=5)
            what = f"a later page of {MANY:,} files, against one of {FEW}"
            yield rated("G21", what, turns, unit="ms", wanted=Wanted("<=", 2))


class SavedFolder:
    """A session without a worker, whose workspace is one folder of so many files."""

    def __init__(self, folder: Path, count: int, dsn: str, store: Any) -> None:
        self._dsn, self._count = dsn, count
        self._tree = folder / "tree"
        self._tree.mkdir(parents=True)
        for number in range(count):
            (self._tree / f"file-{number:06}.txt").write_text(f"{number}\n")
        self._saved = SavedTree(folder, self._tree, store)
        self.session_id: UUID = make_sources(dsn, 1)[0].session_id
        self._saved.session_id = self.session_id

    def save(self) -> None:
        """Save another snapshot."""
        (self._tree / "file-000000.txt").write_text(f"{time.monotonic_ns()}\n")
        self._saved.save()
        row = (self._saved.head, self.session_id, self._count, self._saved.head_digest, self.session_id)
        with psycopg.connect(self._dsn) as conn:
            conn.execute(_INSERT, row)


def _page(api: Gunicorn, http: httpx.Client, folder: SavedFolder, cursor: str | None) -> tuple[float, str]:
    query = {"sessionId": str(folder.session_id), "limit": str(LIMIT), **({"cursor": cursor} if cursor else {})}
    began = time.perf_counter()
    answered = http.get(f"http://127.0.0.1:{api.port}/api/files/tree", params=query)
    seconds = time.perf_counter() - began
    page = answered.json()
    assert len(page["items"]) == LIMIT, page
    return seconds, page["nextCursor"]


def _first_page(api: Gunicorn, http: httpx.Client, folder: SavedFolder) -> float:
    return _page(api, http, folder, None)[0]


def _later_page(api: Gunicorn, http: httpx.Client, folder: SavedFolder) -> float:
    """Milliseconds of the second page, the median of READS."""
    _, cursor = _page(api, http, folder, None)
    return percentile([_page(api, http, folder, cursor)[0] * 1000 for _ in range(READS)], 50)


def _memory(api: Gunicorn) -> float:
    """MiB of the API's processes."""
    process = psutil.Process(api.process.pid)
    return sum(each.memory_info().rss for each in (process, *process.children(recursive=True))) / 2**20
