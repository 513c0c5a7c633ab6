"""The providers as the executor's own registry declares them, written down for everyone to see."""

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
from jobs.hosts.environment import executor_environment
from jobs.runtime.database import JobDatabase
from schema.executor_api import ProviderDeclared

CODE = Path(__file__).resolve().parents[1]
DECLARE_SECONDS = 60.0
AGAIN_SECONDS = 30.0

_DECLARED = TypeAdapter(list[ProviderDeclared])
_log = structlog.stdlib.get_logger(__name__)


class Providers:
    """Announces when the registry's file or the installed agents changed since; what failed is tried again later."""

    def __init__(self, database: JobDatabase, *, providers_file: Path, agents_dir: Path) -> None:
        self._database = database
        self._file = providers_file
        self._agents_dir = agents_dir
        self._announced: tuple[int, ...] = ()
        self._failed_at: float | None = None

    def run_once(self) -> None:
        seen = tuple(_changed_at(self._watched()))
        just_failed = self._failed_at is not None and time.monotonic() - self._failed_at < AGAIN_SECONDS
        if seen == self._announced and (self._failed_at is None or just_failed):
            return
        self._announced = seen
        declared = self._declared()
        self._failed_at = time.monotonic() if declared is None else None
        if declared is not None:
            self._database.transact(announce_providers, declared)
            _log.info("providers.announced", names=[provider.name for provider in declared])

    def _watched(self) -> list[Path]:
        return [self._file, self._agents_dir, self._agents_dir / "node_modules"]

    def _declared(self) -> list[ProviderDeclared] | None:
        """None, after a log line that says why, when the executor's side cannot tell."""
        environment = executor_environment(os.environ, providers_file=self._file, agents_dir=self._agents_dir)
        command = [sys.executable, "-m", "executor", "providers", "--json"]
        try:
            done = subprocess.run(
                command, cwd=CODE, env=environment, capture_output=True, timeout=DECLARE_SECONDS, check=False
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
