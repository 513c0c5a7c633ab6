"""A statement that the database ended is no outage: the answer and the log say what it was."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
from psycopg.errors import QueryCanceled
from structlog.testing import capture_logs

from tests.integration.functions.conftest import Api, answer_json, wait_until

CANCEL_WAITING = """
SELECT pg_cancel_backend(pid) FROM pg_locks
WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def test_a_statement_that_took_too_long_is_said_to_have_and_logged_with_its_traceback(api: Api, database: str) -> None:
    with capture_logs() as log, ThreadPoolExecutor(1) as threads, psycopg.connect(database) as locking:
        locking.execute("LOCK sessions IN ACCESS EXCLUSIVE MODE")
        asked = threads.submit(api.get, "/api/sessions")

        def is_answered() -> bool:
            locking.execute(CANCEL_WAITING)
            return asked.done()

        wait_until(is_answered, seconds=60)
        locking.rollback()
    refused = asked.result()
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    assert answer_json(refused)["code"] == "database_busy"
    assert answer_json(refused)["detail"] == "The database took too long. Try again shortly."
    [entry] = [entry for entry in log if entry["log_level"] == "error"]
    assert isinstance(entry["exc_info"], QueryCanceled)
