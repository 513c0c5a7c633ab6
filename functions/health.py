"""Is the process alive, and can it do its work; and the description of the whole API."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, current_app, jsonify
from psycopg import OperationalError
from psycopg.errors import UndefinedTable

from functions.admission import public
from functions.answers import HealthAnswer, ReadyAnswer, answer
from functions.edge import edge
from functions.openapi import also, document
from functions.version import VERSION
from handlers.reconcile import seconds_since_seen
from schema.migrate import pending_migrations

WORKER_SECONDS = 20.0
READY = {"schema": {"$ref": "#/components/schemas/ReadyAnswer"}}
health = APIBlueprint("health", __name__, tag="Health")


@health.get("/health")
@public("It tells only that the process answers, which load balancers need to know.")
@health.output(HealthAnswer)
def get_health() -> Response:
    """Whether this process answers; the database is not asked"""
    return answer(HealthAnswer(status="ok", version=VERSION))


@health.get("/ready")
@public("It tells only which parts are well, which load balancers need to know.")
@health.output(ReadyAnswer)
@health.doc(responses=also({503: {"description": "Not ready", "content": {"application/json": READY}}}))
def get_ready() -> Response:
    """Whether requests can be served now"""
    ready = readiness()
    return answer(ready, 200 if ready.status == "ready" else 503)


@health.get("/openapi.json")
@public("The description of the API holds nothing of anybody's.")
@health.doc(hide=True)
def get_openapi() -> Response:
    return jsonify(document(current_app))


def readiness() -> ReadyAnswer:
    """How each part is, by a word."""
    database, migrations, worker = _database_parts()
    listening = "ok" if edge().watch.is_listening else "away"
    token = edge().duties.is_token_admitted or not edge().is_resident
    is_ready = database == migrations == listening == "ok" and token
    status = "ready" if is_ready else "not ready"
    return ReadyAnswer(status=status, database=database, migrations=migrations, listening=listening, worker=worker)


def _database_parts() -> tuple[str, str, str]:
    try:
        with edge().housekeeping.transaction() as conn:
            if pending_migrations(conn):
                return "ok", "pending", "unknown"
            seen = seconds_since_seen(conn, "worker")
    except UndefinedTable:
        return "ok", "pending", "unknown"
    except OperationalError:
        return "away", "unknown", "unknown"
    return "ok", "ok", "ok" if seen is not None and seen < WORKER_SECONDS else "away"
