"""Check the other parts of a deployment: PostgreSQL, the providers file, the host of the workers."""

from __future__ import annotations

import tomllib
from pathlib import Path

import psycopg

from jobs.doctor import Finding
from jobs.doctor.container_engine import check_engine
from jobs.hosts.settings import read_docker_settings
from jobs.runtime.executor_client import Endpoint, ExecutorClient, ExecutorError, RetryRules
from jobs.runtime.settings import JobSettings
from schema.migrate import pending_migrations
from schema.sql import Conn

OLDEST = 150_000
CONNECT_SECONDS = 5
ONCE = RetryRules(attempts=1, delay_seconds=0, status_codes=())


def check_postgres(dsn: str) -> list[Finding]:
    try:
        with psycopg.connect(dsn, connect_timeout=CONNECT_SECONDS) as conn:
            version = conn.info.server_version
            pending = _pending(conn)
    except psycopg.OperationalError:
        return [
            Finding("postgres", "wrong", "unreachable, or refuses the login", "check DATABASE_URL and that it runs")
        ]
    server = f"PostgreSQL {version // 10_000}.{version % 10_000}"
    if version < OLDEST:
        return [Finding("postgres", "wrong", f"{server} is too old", "use PostgreSQL 15 or later")]
    if pending:
        what = f"{server}; pending migrations: {', '.join(pending)}"
        return [Finding("postgres", "wrong", what, "run python -m schema.migrate")]
    return [Finding("postgres", "ok", server)]


def _pending(conn: Conn) -> list[str]:
    """Return the names of the pending migrations."""
    try:
        return pending_migrations(conn)
    except psycopg.errors.UndefinedTable:
        return ["all"]


def check_providers(file: Path) -> list[Finding]:
    try:
        declared = tomllib.loads(file.read_text(encoding="utf-8-sig")).get("providers", {})
    except (OSError, ValueError) as error:
        return [Finding("providers", "wrong", f"{file} is not readable: {error}", "check PROVIDERS_FILE")]
    if not declared:
        return [Finding("providers", "wrong", f"{file} declares no provider", "see the head of providers.toml")]
    return [Finding("providers", "ok", ", ".join(sorted(declared)))]


def check_host(settings: JobSettings) -> list[Finding]:
    if settings.worker_host == "docker":
        return check_engine(read_docker_settings())
    if settings.worker_host == "external":
        return _check_external(Endpoint(*settings.external_executor))
    return [Finding("host", "note", "workers are processes of this machine, which suits trials only")]


def _check_external(endpoint: Endpoint) -> list[Finding]:
    client = ExecutorClient(ONCE, timeout_seconds=CONNECT_SECONDS)
    try:
        client.health(endpoint.base_url)
    except ExecutorError as error:
        return [Finding("host", "wrong", f"the executor does not answer: {error}", "check EXECUTOR_BASE_URL")]
    finally:
        client.close()
    return [Finding("host", "ok", "the executor answers")]
