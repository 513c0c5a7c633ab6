"""Answer /health and /ready, and serve the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping

from apiflask import APIBlueprint
from flask import Response, current_app, jsonify
from psycopg import OperationalError
from psycopg.errors import UndefinedTable

from functions.http.auth import public
from functions.http.openapi import also, document
from functions.http.schemas import answer
from functions.runtime.process import api_process
from functions.site.schemas import HealthAnswer, ReadyAnswer, ReadyQuery
from functions.site.version import VERSION
from handlers.runs.reconcile import seconds_since_seen
from handlers.workers.parts import PartState, knows_a_provider, parts_for_runs
from schema.migrate import pending_migrations
from schema.sql import Conn

WORKER_SECONDS = 20.0
UNKNOWN = dict.fromkeys(("database", "migrations", "worker", "host", "store", "disk", "providers"), "unknown")
ABLE = {
    "database": ("ok",),
    "worker": ("ok",),
    "host": ("ok", "unknown"),
    "store": ("ok", "unknown"),
    "disk": ("ok", "low", "unknown"),
    "providers": ("ok",),
}
"""The words with which runs can start. A job worker of an older release reports no parts: they are unknown."""
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
@health.input(ReadyQuery, location="query")
@health.output(ReadyAnswer)
@health.doc(responses=also({503: {"description": "Not ready", "content": {"application/json": READY}}}))
def get_ready(query_data: ReadyQuery) -> Response:
    """Check that this process can serve requests now

    `?for=runs` is for monitoring: it also answers 503 while no run can start.
    """
    ready = readiness()
    is_ready = ready.status == "ready" and (query_data.for_ == "requests" or ready.runs == "ok")
    return answer(ready, 200 if is_ready else 503)


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
    words = {**UNKNOWN, **_words()}
    listening = "ok" if api_process().notifier.is_listening else "away"
    token = api_process().periodic.is_token_admitted or not api_process().is_resident
    # reads go on while the database's disk is full
    is_ready = words["database"] in ("ok", "full") and words["migrations"] == listening == "ok" and token
    can_run = is_ready and all(words[part] in able for part, able in ABLE.items())
    status, runs = "ready" if is_ready else "not ready", "ok" if can_run else "held"
    return ReadyAnswer(status=status, listening=listening, runs=runs, **words)


def _words() -> dict[str, str]:
    try:
        with api_process().housekeeping.transaction() as conn:
            if pending_migrations(conn):
                return {"database": "ok", "migrations": "pending"}
            database = "full" if api_process().full_disk.is_known else "ok"
            return {"database": database, "migrations": "ok", **_words_for_runs(conn)}
    except UndefinedTable:
        return {"database": "ok", "migrations": "pending"}
    except OperationalError:
        return {"database": "away"}


def _words_for_runs(conn: Conn) -> dict[str, str]:
    seen = seconds_since_seen(conn, "worker")
    providers = "ok" if knows_a_provider(conn) else "none"
    if seen is None or seen >= WORKER_SECONDS:
        return {"worker": "away", "providers": providers}
    parts = parts_for_runs(conn, within_seconds=WORKER_SECONDS)
    return {"worker": "ok", "providers": providers, **_words_of_parts(parts)}


def _words_of_parts(parts: Mapping[str, PartState]) -> dict[str, str]:
    words = {name: "ok" if parts[name].is_well else "away" for name in ("host", "store") if name in parts}
    if "disk" not in parts:
        return words
    if parts["disk"].is_well:
        return {**words, "disk": "ok"}
    # only a host of processes reports its disk, and it starts no worker on a full one
    return {**words, "disk": "full" if words.get("host") == "away" else "low"}
