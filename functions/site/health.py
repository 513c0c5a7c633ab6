"""Answer /health and /ready, and serve the OpenAPI document."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, current_app, jsonify
from psycopg import OperationalError
from psycopg.errors import UndefinedTable

from functions.http.auth import public
from functions.http.openapi import also, document
from functions.http.schemas import answer
from functions.runtime.process import api_process
from functions.site.schemas import HealthAnswer, ReadyAnswer
from functions.site.version import VERSION
from handlers.runs.reconcile import seconds_since_seen
from schema.migrate import pending_migrations

WORKER_SECONDS = 20.0
READY = {"schema": {"$ref": "#/components/schemas/ReadyAnswer"}}
OPENAPI_TEXT = "runyard.openapi"
health = APIBlueprint("health", __name__, tag="Health")


@health.get("/health")
@public("Load balancers need to know whether the process answers; the answer holds no data.")
@health.output(HealthAnswer)
def get_health() -> Response:
    """Check that this process answers, without the database"""
    return answer(HealthAnswer(status="ok", version=VERSION))


@health.get("/ready")
@public("Load balancers need to know which parts work; the answer holds no data.")
@health.output(ReadyAnswer)
@health.doc(responses=also({503: {"description": "Not ready", "content": {"application/json": READY}}}))
def get_ready() -> Response:
    """Check that this process can serve requests now"""
    ready = readiness()
    return answer(ready, 200 if ready.status == "ready" else 503)


@health.get("/openapi.json")
@public("The description of the API holds no user's data.")
@health.doc(hide=True)
def get_openapi() -> Response:
    kept = current_app.extensions
    if OPENAPI_TEXT not in kept:  # making it takes a tenth of a second, and anybody may ask for it
        kept[OPENAPI_TEXT] = jsonify(document(current_app)).get_data()
    return Response(kept[OPENAPI_TEXT], mimetype="application/json")


def readiness() -> ReadyAnswer:
    """Describe the state of each part by a word."""
    database, migrations, worker = _database_parts()
    listening = "ok" if api_process().notifier.is_listening else "away"
    token = api_process().periodic.is_token_admitted or not api_process().is_resident
    is_ready = database == migrations == listening == "ok" and token
    status = "ready" if is_ready else "not ready"
    return ReadyAnswer(status=status, database=database, migrations=migrations, listening=listening, worker=worker)


def _database_parts() -> tuple[str, str, str]:
    try:
        with api_process().housekeeping.transaction() as conn:
            if pending_migrations(conn):
                return "ok", "pending", "unknown"
            seen = seconds_since_seen(conn, "worker")
    except UndefinedTable:
        return "ok", "pending", "unknown"
    except OperationalError:
        return "away", "unknown", "unknown"
    return "ok", "ok", "ok" if seen is not None and seen < WORKER_SECONDS else "away"
