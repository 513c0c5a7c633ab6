"""Do the API's periodic work: admit the local token once, and record that the API is alive."""

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
    """Remembers when its work was last done."""

    def __init__(self, settings: ApiSettings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._seen_at = 0.0
        self.is_token_admitted = settings.local_token_file is None

    def run_once(self) -> None:
        """Do due work. Raises OperationalError while the database cannot be reached; call again later."""
        if time.monotonic() - self._seen_at < SEEN_SECONDS:
            return
        try:
            self._admit_local_token()
            with self._database.transaction() as conn:
                part_seen(conn, "api", ReconcileLimits(lease_seconds=self._settings.run_lease_seconds))
        except UndefinedTable:
            _log.warning("the database has no schema yet; run python -m schema.migrate")
        self._seen_at = time.monotonic()

    def _admit_local_token(self) -> None:
        file = self._settings.local_token_file
        if file is None or self.is_token_admitted:
            return
        token = file.read_text().strip()
        with self._database.transaction() as conn:
            admit_token(conn, user_name=LOCAL_ADMIN, label="local", token=token)
        self.is_token_admitted = True
