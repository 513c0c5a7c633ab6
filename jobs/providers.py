"""Announce the providers of the executor's registry in the database."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import structlog
from pydantic import TypeAdapter, ValidationError

from handlers.providers.registry import announce_providers
from jobs.hosts.environment import executor_environment, sealed_executor
from jobs.runtime.database import JobDatabase
from schema.executor_api import ProviderDeclared

CODE = Path(__file__).resolve().parents[1]
DECLARE_SECONDS = 60.0
RETRY_SECONDS = 30.0

_DECLARED = TypeAdapter(list[ProviderDeclared])
_log = structlog.stdlib.get_logger(__name__)


class Providers:
    """Announces the providers whenever the registry file or the installed agents change. It retries failures."""

    def __init__(self, database: JobDatabase, *, providers_file: Path, agents_dir: Path) -> None:
        self._database = database
        self._file = providers_file
        self._agents_dir = agents_dir
        self._announced: tuple[int, ...] = ()
        self._failed_at: float | None = None

    def run_once(self) -> None:
        modified = tuple(_changed_at(self._watched()))
        just_failed = self._failed_at is not None and time.monotonic() - self._failed_at < RETRY_SECONDS
        if modified == self._announced and (self._failed_at is None or just_failed):
            return
        self._announced = modified
        providers = self._declared()
        self._failed_at = time.monotonic() if providers is None else None
        if providers is not None:
            self._database.transact(announce_providers, providers)
            _log.info("providers.announced", names=[provider.name for provider in providers])

    def _watched(self) -> list[Path]:
        return [self._file, self._agents_dir, self._agents_dir / "node_modules"]

    def _declared(self) -> list[ProviderDeclared] | None:
        """Return the declared providers. Log the cause and return None when the executor cannot list them."""
        environment = executor_environment(os.environ, providers_file=self._file, agents_dir=self._agents_dir)
        command = [sys.executable, "-m", "executor", "providers", "--json"]
        try:
            with sealed_executor(environment) as (rest, descriptor):
                done = subprocess.run(
                    command,
                    cwd=CODE,
                    env=rest,
                    pass_fds=[descriptor],
                    capture_output=True,
                    timeout=DECLARE_SECONDS,
                    check=False,
                )
            if done.returncode == 0:
                return _DECLARED.validate_json(done.stdout)
            why = done.stderr.decode(errors="replace")[-2000:].strip()
        except (OSError, subprocess.TimeoutExpired, ValidationError) as error:
            why = str(error)
        _log.error("providers.not_announced", why=why)
        return None


def _changed_at(paths: list[Path]) -> Iterator[int]:
    for path in paths:
        try:
            yield path.stat().st_mtime_ns
        except OSError:
            yield 0
