"""What a migration finds in a database it carries over."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
import pytest

from schema import migrate

BEFORE = """
INSERT INTO sessions (owner_id, app_id, title)
SELECT users.id, apps.id, 'with runs' FROM users, apps;
INSERT INTO session_logs (session_id, last_seq) SELECT id, 5 FROM sessions;
INSERT INTO runs (
    session_id, user_id, app_id, app_version, provider, prompt, traceparent, position, max_attempts, status, claim,
    attempt, epoch, last_n, lease_expires_at, finished_at
)
SELECT
    sessions.id, sessions.owner_id, sessions.app_id, 1, 'demo', run.status, '', 0, 3, run.status::run_status, 1, 2, 1,
    run.last_n, run.lease, run.finished_at
FROM sessions, (
    VALUES ('succeeded', 2, NULL::timestamptz, now()), ('cancelling', 1, '2030-01-01Z'::timestamptz, NULL)
) AS run (status, last_n, lease, finished_at);
INSERT INTO run_events (session_id, seq, id, run_id, attempt, n, author, type, at, data)
SELECT runs.session_id, event.seq, gen_random_uuid(), runs.id, 2, event.n, 'executor', 'message.delta', now(), '{}'
FROM runs
JOIN (VALUES ('succeeded', 1, 1), ('cancelling', 2, NULL), ('succeeded', 3, 2), ('cancelling', 5, 1))
    AS event (status, seq, n) ON event.status = runs.status::text;
"""


@pytest.mark.both_postgres
def test_live_runs_keep_their_pen_and_all_runs_their_events(
    empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in migrate.MIGRATIONS.glob("000[1-7].*.sql"):
        shutil.copy(file, tmp_path)
    with monkeypatch.context() as earlier:
        earlier.setattr(migrate, "MIGRATIONS", tmp_path)
        migrate.apply_migrations(empty_database)
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute(BEFORE)
        migrate.apply_migrations(empty_database)
        head = conn.execute(
            """SELECT runs.prompt, log.attempt, log.run_epoch, log.key_generation, log.last_n,
                log.lease_expires_at = '2030-01-01Z', log.stop_requested
            FROM session_logs AS log JOIN runs ON runs.id = log.run_id"""
        ).fetchall()
        assert head == [("cancelling", 2, 1, 1, 1, True, True)]
        spans = conn.execute("SELECT prompt, first_seq, last_seq FROM runs ORDER BY first_seq").fetchall()
        assert spans == [("succeeded", 1, 3), ("cancelling", 2, 5)]


def test_a_database_that_is_away_is_one_sentence_without_the_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:sec@ret@127.0.0.1:1/x")
    assert migrate.main() == 1
    said = "The database was not migrated. PostgreSQL is unreachable or refused the connection: check DATABASE_URL.\n"
    assert capsys.readouterr() == ("", said)
