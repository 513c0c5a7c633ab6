"""What a server process does beside requests: admit the local token once, and say that the API is well."""

from __future__ import annotations

import time

import structlog
from psycopg.errors import UndefinedTable

from functions.runtime.database import Database
from functions.runtime.settings import ApiSettings
from handlers.access.tokens import admit_token
from handlers.runs.reconcile import ReconcileLimits, part_seen

SEEN_SECONDS = 5.0
LOCAL_ADMIN = "admin"
_log = structlog.get_logger("functions.runtime.periodic")


class Periodic:
    """Remembers what was done and when."""

    def __init__(self, settings: ApiSettings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._seen_at = 0.0
        self.is_token_admitted = settings.local_token_file is None

    def run_once(self) -> None:
        """Do what is due. Raises OperationalError while the database is away; call again then."""
        if time.monotonic() - self._seen_at < SEEN_SECONDS:
            return
        try:
            self._admit_local_token()
            with self._database.transaction() as conn:
                part_seen(conn, "api", ReconcileLimits(lease_seconds=self._settings.run_lease_seconds))
        except UndefinedTable:
            _log.warning("the database has not been migrated yet: run python -m schema.migrate")
        self._seen_at = time.monotonic()

    def _admit_local_token(self) -> None:
        file = self._settings.local_token_file
        if file is None or self.is_token_admitted:
            return
        token = file.read_text().strip()
        with self._database.transaction() as conn:
            admit_token(conn, user_name=LOCAL_ADMIN, label="local", token=token)
        self.is_token_admitted = True
