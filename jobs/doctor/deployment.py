"""Check the other parts of a deployment: PostgreSQL, the providers file, the host of the workers."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import psycopg

from handlers.alarms import ADVICE, faulty_objects
from jobs.doctor import Finding
from jobs.doctor.container_engine import check_engine
from jobs.hosts.settings import read_docker_settings
from jobs.runtime.executor_client import Endpoint, ExecutorClient, ExecutorError, RetryRules
from jobs.runtime.settings import JobSettings
from schema.agent_environment import secrets_named
from schema.database_faults import DISK_FULL, cause_of
from schema.migrate import encoding_fault, newer_sentence, pending_migrations
from schema.sealed_environment import CONTROL_PLANE_SECRETS
from schema.shown_secrets import WHAT_TO_DO, secrets_of_ancestors, sentence_of
from schema.sql import Conn, fetch_all, fetch_value

OLDEST = 150_000
CONNECT_SECONDS = 5
ONCE = RetryRules(attempts=1, delay_seconds=0, status_codes=())


@dataclass(frozen=True)
class ProviderNotReady:
    name: str
    reason: str


def check_postgres(dsn: str) -> list[Finding]:
    try:
        with psycopg.connect(dsn, connect_timeout=CONNECT_SECONDS, autocommit=True) as conn:
            version = conn.info.server_version
            pending, newer, encoding = _pending(conn), newer_sentence(conn), encoding_fault(conn)
            _need_room(conn)
    except psycopg.OperationalError as error:
        cause = cause_of(error)
        todo = "free some space on it" if cause == DISK_FULL else "check DATABASE_URL and that it runs"
        return [Finding("postgres", "wrong", cause, todo)]
    server = f"PostgreSQL {version // 10_000}.{version % 10_000}"
    if version < OLDEST:
        return [Finding("postgres", "wrong", f"{server} is too old", "use PostgreSQL 15 or later")]
    if encoding:
        return [Finding("postgres", "wrong", encoding, "docs/deploying.md")]
    if newer:
        return [Finding("postgres", "wrong", newer, "start the release that migrated it")]
    if pending:
        what = f"{server}; pending migrations: {', '.join(pending)}"
        return [Finding("postgres", "wrong", what, "run python -m schema.migrate")]
    return [Finding("postgres", "ok", server)]


def _need_room(conn: Conn) -> None:
    """Raise DiskFull when the server's disk has no megabyte left: reads and small changes still work then."""
    with conn.transaction():
        conn.execute("SET LOCAL work_mem = '64kB'")
        fetch_value(conn, "need_a_megabyte")


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


def check_shown_secrets(settings: JobSettings) -> list[Finding]:
    """Name the secrets that agents of this account can read in the environment of what started this program."""
    if settings.worker_host != "process":
        return []
    shown = secrets_of_ancestors([*CONTROL_PLANE_SECRETS, *secrets_named(settings.providers_file)])
    return [Finding("secrets", "note", sentence_of(shown), WHAT_TO_DO)] if shown else []


def check_logins(dsn: str) -> list[Finding]:
    """Name the providers that are not ready, such as those without a login, as the job worker announced them."""
    try:
        with psycopg.connect(dsn, connect_timeout=CONNECT_SECONDS) as conn:
            named = fetch_all(conn, "providers_not_ready", ProviderNotReady)
    except psycopg.Error:
        return []  # check_postgres tells it
    todo = "docs/agents.md says where a login comes from"
    return [Finding(f"agent {provider.name}", "note", provider.reason, todo) for provider in named]


def check_objects(dsn: str) -> list[Finding]:
    """Tell which stored objects the job worker found missing, altered or unreadable."""
    try:
        with psycopg.connect(dsn, connect_timeout=CONNECT_SECONDS) as conn:
            faulty = faulty_objects(conn)
    except psycopg.Error:
        return []  # check_postgres tells it
    return [] if faulty is None else [Finding("saved workspaces", "wrong", faulty.sentence, ADVICE)]


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
