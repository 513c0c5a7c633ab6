"""Every call of the OpenAPI document, made up by schemathesis, is answered as the document says.

Its own program runs against a real server, with every check that it has.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from handlers.job_requests import finish_job_request
from schema.wire import Json
from tests.integration.functions.conftest import NO_SHARES, Driver, Serve, Served
from tests.thoroughness import FULL, SEED, times

pytestmark = pytest.mark.timeout(times(180, 4 * 3600))
COUNTS = dict.fromkeys(("claimed", "started", "succeeded", "retried", "failed", "canceled"), 0)
NOTHING_DONE = {"scanned": 0, "failed": 0, "skipped": []}
REFUSED = {"ok": False, "reason": "required_paths_missing", "detail": "It lacks a path.", "paths": ["/workspace/a"]}
RESULTS: dict[str, Json] = {
    "drain_queue": COUNTS,
    "reconcile_runs": {**dict.fromkeys(("scanned", "adopted"), 0), "reasons": []},
    "reconcile_syncs": {**dict.fromkeys(("scanned", "asked", "syncing", "waiting"), 0), "reasons": []},
    "plan_restore": REFUSED,
    "activate_worker": {"status": "active", "epoch": 1},
    "sync_worker": {},
    "read_live_files": {"asOf": "2026-01-01T00:00:00Z", "gone": "The session's worker does not answer."},
    "place_uploads": {},
    "put_back_files": {"refusal": {"status": 409, "code": "path_taken", "detail": "A folder is there."}},
    "stop_idle_workers": {**NOTHING_DONE, "stopped": 0},
    "remove_stopped_workers": {**NOTHING_DONE, "removed": 0},
    "remove_worker": {"kept": "It is at work."},
}


@pytest.fixture
def served(serve: Serve) -> Served:
    """One user makes all calls."""
    return serve(**NO_SHARES)


@contextmanager
def worker(database: str) -> Iterator[None]:
    """What the API asks of the job worker is done at once: nothing has to be done for it."""
    ending = threading.Event()

    def perform() -> None:
        asked = "SELECT id, kind, arguments -> 'sessionId' FROM operations WHERE finished_at IS NULL"
        with psycopg.connect(database, autocommit=True) as conn:
            while not ending.wait(0.02):
                for id_, kind, session_id in conn.execute(asked).fetchall():
                    finish_job_request(
                        conn, id_, result={**RESULTS[kind], **({"sessionId": session_id} if session_id else {})}
                    )

    thread = threading.Thread(target=perform)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def finished_run(served: Served) -> Driver:
    driver = served.bind()
    driver.report(driver.delta("said"))
    driver.finish()
    return driver


def configuration(served: Served) -> str:
    """Half of all calls are about what is there. Streams of live runs would not end, so they are of finished ones."""
    live, done = served.bind(), finished_run(served)
    with served.client() as client:
        queued = client.post("/api/runs/start", json={"prompt": "go"}).json()
    runs = [str(live.run_id), str(done.run_id), queued["runId"]]
    sessions = [str(live.session_id), str(done.session_id), queued["sessionId"]]
    return f"""
[dictionaries]
runs = {{ values = {runs} }}
ended = {{ values = {[str(done.run_id)]} }}
sessions = {{ values = {sessions} }}
[parameters]
"path.runId" = {{ dictionary = "runs", probability = 0.5 }}
"path.sessionId" = {{ dictionary = "sessions", probability = 0.5 }}
"query.sessionId" = {{ dictionary = "sessions", probability = 0.5 }}
"body.sessionId" = {{ dictionary = "sessions", probability = 0.3 }}
[[operations]]
include-path = "/api/runs/restore-plan"
# a plan that is refused is 422, however well it was asked for
checks = {{ positive_data_acceptance = {{ expected-statuses = ["2xx", 401, 403, 404, 422] }} }}
[[operations]]
include-path = "/ready"
# nothing runs here, so no run can start
checks = {{ not_a_server_error = {{ expected-statuses = ["2xx", "4xx", 503] }} }}
[[operations]]
include-path-regex = "^/api/human-loop/rules"
# a rule for every run has to say so
checks = {{ positive_data_acceptance = {{ expected-statuses = ["2xx", 401, 403, 404, 409, 422] }} }}
[[operations]]
include-path-regex = "^/api/admin/file-policies"
# a pattern may match no path, however well it is written
checks = {{ positive_data_acceptance = {{ expected-statuses = ["2xx", 401, 403, 404, 409, 422] }} }}
[[operations]]
include-path-regex = "/events$"
# events before and after at once are neither, and a log may end before a number
checks = {{ positive_data_acceptance = {{ expected-statuses = ["2xx", 401, 403, 404, 409, 422] }} }}
[[operations]]
include-path-regex = "^/api/files/"
# a path, a cursor or a pair of snapshots may make no sense, however well they are written
[operations.checks]
positive_data_acceptance = {{ expected-statuses = ["2xx", 401, 403, 404, 409, 416, 422, 431] }}
negative_data_rejection = {{ expected-statuses = [400, 401, 403, 404, 405, 422, 431] }}
[[operations]]
include-path = "/api/runs/{{runId}}/stream"
request-timeout = 5
max-stream-events = 2
parameters = {{ "path.runId" = {{ dictionary = "ended", probability = 0.5 }} }}
"""


def findings(served: Served, folder: Path, *arguments: str) -> str:
    """What schemathesis has to say; empty when it found nothing."""
    file = folder / f"{uuid4()}.toml"
    file.write_text(configuration(served))
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--no-color", "--config-file", str(file)),
        *("run", f"{served.url}/openapi.json", "--checks", "all", "--continue-on-failure", "--no-shrink"),
        *("--max-examples", str(times(8, 300)), "--request-timeout", "30", "--suppress-health-check", "all"),
        # no NUL: it cannot be stored, which JSON Schema has no word for; test_starting.py tries it
        *("--generation-allow-x00", "false"),
        *("--warnings", "off", *(["--seed", str(SEED)] if FULL else ["--generation-deterministic"])),
    ]
    done = subprocess.run(
        [*command, *arguments], cwd=folder, capture_output=True, text=True, timeout=4 * 3600, check=False
    )
    print(f"RUNYARD_TEST_SEED={SEED}", done.stdout)
    return "" if done.returncode == 0 else done.stdout[-20_000:] + done.stderr[-5_000:]


def test_signed_in_calls_are_answered_as_described(served: Served, database: str, tmp_path: Path) -> None:
    with worker(database):
        found = findings(served, tmp_path, "--header", f"Authorization: Bearer {served.token}")
    assert found == ""
    assert [line for line in served.log_lines() if line["level"] == "error"] == []


def test_calls_of_nobody_are_answered_as_described(served: Served, database: str, tmp_path: Path) -> None:
    with worker(database):
        assert findings(served, tmp_path, "--phases", "fuzzing") == ""
    with psycopg.connect(database) as conn:
        assert conn.execute("SELECT count(*) FROM runs").fetchone() == (3,), "what nobody asked for was done"
