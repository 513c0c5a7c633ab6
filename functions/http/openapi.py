"""The OpenAPI document. `functions/openapi_file.py` writes the one that is kept.

APIFlask describes bodies, queries and answers; what holds for many routes (problems, security, headers) is added here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

from apiflask import APIFlask
from flask import Flask
from pydantic import BaseModel
from werkzeug.routing import Rule

from functions.http.auth import PUBLIC, permission_of
from functions.http.schemas import IDEMPOTENCY_KEY, LAST_EVENT_ID
from schema.executor_api import CallbackBody
from schema.wire import Json

ABOUT = """\
A control plane for coding-agent runs. Times are RFC 3339 in UTC, ids are UUIDs, keys are camelCase; unknown keys of a
request are refused, those of an answer are to be passed over.

**Errors** are `application/problem+json` (RFC 9457); `code` is stable and for programs, `detail` is a sentence.

**Live**: `WS /api/sessions/{sessionId}/ws?after=N` sends `{"kind": "event", ...envelope}` for every event after N, once
and in order; without `after` first `{"kind": "snapshot", session, runs, requests, seq}`. `{"kind": "ping"}` is answered
by `{"kind": "pong"}`. Before it closes it sends `{"kind": "closing", code, reason, seq}`: 4008 slow reader, 4401 login
expired, 4403 forbidden, 1012 restart.

**Signing in**: a bearer token. A browser signs in at `/sign-in?code=...` and then has a cookie; what changes anything
needs an `Origin` of Runyard's own with it.
"""
WEBHOOK_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
_SCHEMAS: Json = {
    "Idempotency-Key": {"type": "string", "pattern": IDEMPOTENCY_KEY},
    "Last-Event-ID": {"type": "string", "pattern": LAST_EVENT_ID},
}
REQUEST_HEADERS = {
    "Idempotency-Key": "The same key with the same body starts one run only; with another body it is 409.",
    "Prefer": "`wait=N`: answer when the run has ended, within N seconds (at most 60).",
    "Last-Event-ID": "The number (`seq`) of the last event that was received. Wins over `cursor`.",
    "traceparent": "W3C Trace Context: the run becomes part of this trace.",
    **dict.fromkeys(WEBHOOK_HEADERS, "As in Standard Webhooks."),
}
_PROBLEMS = {
    "400": "The body is not JSON",
    "401": "Not signed in, or not signed",
    "403": "Signed in, but not allowed",
    "404": "There is no such thing, or it is not yours to see",
    "409": "It does not fit the present state",
    "413": "Too large",
    "422": "It cannot be understood; `errors` names the fields",
    "503": "Not possible right now",
}
_PROBLEM: Json = {
    "type": "object",
    "description": "RFC 9457; further members depend on the code.",
    "required": ["type", "title", "status", "detail", "code", "traceId"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "Stable, for programs."},
        "traceId": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"where": {"type": "string"}, "problem": {"type": "string"}},
            },
        },
    },
}
_HEADERS: Json = {
    "Retry-After": {"description": "Seconds", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "`Bearer`", "schema": {"type": "string"}},
    "Location": {"description": "Where what was made is", "schema": {"type": "string"}},
    "Preference-Applied": {"description": "`wait=N`", "schema": {"type": "string"}},
    "x-trace-id": {"description": "Names this request in the logs", "schema": {"type": "string"}},
}
EVENT_STREAM: Json = {
    "schema": {
        "type": "object",
        "description": "Each event; a comment every 15 s.",
        "properties": {
            "id": {"type": "string", "description": "Its `seq`"},
            "event": {"type": "string", "description": "Its type"},
            "data": {"type": "string", "description": "The envelope, as JSON"},
            "retry": {"type": "integer"},
        },
    }
}
BODY_OPTIONAL = {
    "activateWorker",
    "createSession",
    "drainQueue",
    "postStop",
    "reconcileRuns",
    "reconcileSyncs",
    "removeStoppedWorker",
    "removeStoppedWorkers",
    "rotateKey",
    "stopIdleWorker",
    "stopIdleWorkers",
    "syncWorker",
}
_OF_STATUS = {"401": ["WWW-Authenticate"], "503": ["Retry-After"], "201": ["Location"], "202": ["Location"]}


def describe(app: APIFlask, *, waited: type[BaseModel]) -> None:
    """Set what the whole document says. `waited` is the answer to a start that waits for its run's end."""
    app.config.update(
        OPENAPI_VERSION="3.1.0",
        DESCRIPTION=ABOUT,
        AUTO_404_RESPONSE=False,
        AUTO_VALIDATION_ERROR_RESPONSE=False,
        AUTO_AUTH_ERROR_RESPONSE=False,
        AUTO_SERVERS=False,
    )

    @app.spec_processor  # type: ignore[arg-type]  # of any kind of document; ours is a dict
    def complete(spec: Json) -> Json:
        return _completed(app, spec, waited)


def also(responses: dict[int, Json]) -> Any:
    """More answers of a view, each an OpenAPI response object, for which APIFlask's own type is too narrow."""
    return responses


def conflicts(*codes: str) -> Any:
    """The 409 of a view."""
    return also({409: {"description": f"{_PROBLEMS['409']}: {', '.join(f'`{code}`' for code in codes)}"}})


def takes_headers(*names: str) -> Any:
    """The request headers that a view reads, each of REQUEST_HEADERS; for `doc(extensions=...)`."""
    return {"x-headers": list(names)}


def document(app: Flask) -> Json:
    """The document of this app, the same on every machine."""
    spec: Any = cast("APIFlask", app).spec
    return dict(spec)


def _completed(app: APIFlask, spec: Json, waited: type[BaseModel]) -> Json:
    components = spec.setdefault("components", {})
    components["schemas"] = {
        name: schema
        for name, schema in components.get("schemas", {}).items()
        if name not in ("HTTPError", "ValidationError")
    }
    components["schemas"]["Problem"] = _PROBLEM
    components["headers"] = _HEADERS
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    for rule, operation in _operations(app, spec):
        _complete(operation, rule, permission_of(app.view_functions[rule.endpoint]))
    callbacks = spec["paths"]["/api/runs/{run_id}/callbacks"]["post"]
    callbacks["requestBody"] = {"required": True, "content": {"application/json": _schema(components, CallbackBody)}}
    _answer_problem(callbacks, "400", "413", "422", "401")
    started = spec["paths"]["/api/runs/start"]["post"]["responses"]["200"]
    started["content"] = {"text/event-stream": EVENT_STREAM, "application/json": _schema(components, waited)}
    _camel_case_paths(spec)
    return spec


def _operations(app: APIFlask, spec: Json) -> Iterator[tuple[Rule, Json]]:
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:[^<:]+:)?([^>]+)>", r"{\1}", rule.rule)
        for method, operation in spec["paths"].get(path, {}).items():
            if method.upper() in (rule.methods or ()):
                yield rule, operation


def _complete(operation: Json, rule: Rule, needed: str | None) -> None:
    operation["operationId"] = _camel(rule.endpoint.rpartition(".")[2])
    operation["x-permission"] = needed
    operation["security"] = [] if needed == PUBLIC else [{"bearer": []}]
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        if parameter["in"] == "path":
            parameter["schema"] = {"type": "string", "format": "uuid"}
    names = operation.pop("x-headers", [])
    parameters += [
        {
            "in": "header",
            "name": name,
            "required": name in WEBHOOK_HEADERS,
            "description": REQUEST_HEADERS[name],
            "schema": _SCHEMAS.get(name, {"type": "string"}),
        }
        for name in names
    ]
    if "requestBody" in operation:
        operation["requestBody"]["required"] = operation["operationId"] not in BODY_OPTIONAL
    has_input = "requestBody" in operation or any(each["in"] in ("query", "header") for each in parameters)
    _answer_problem(
        operation,
        *(["401", "403"] if needed != PUBLIC else []),
        *(["404"] if rule.arguments or {"requestBody", "404"} & {*operation, *operation["responses"]} else []),
        *(["400", "413"] if "requestBody" in operation else []),
        *(["422"] if has_input else []),
        *(["409"] if "409" in operation["responses"] else []),
        *(["503"] if rule.rule.startswith("/api/") else []),
    )
    for status, response in operation["responses"].items():
        named = [*_OF_STATUS.get(status, []), "x-trace-id"]
        response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in named}
        if status == "204":
            response.pop("content", None)


def _answer_problem(operation: Json, *statuses: str) -> None:
    for status in statuses:
        response = operation["responses"].setdefault(status, {})
        response.setdefault("description", _PROBLEMS[status])
        response["content"] = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _schema(components: Json, model: type[BaseModel]) -> Json:
    """A reference to the model's schema, which is put among the components with all that it refers to."""
    name = model.__name__
    schema = model.model_json_schema(ref_template=f"#/components/schemas/{name}.{{model}}")
    for inner, definition in schema.pop("$defs", {}).items():
        components["schemas"][f"{name}.{inner}"] = definition
    components["schemas"][name] = schema
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}


def _camel_case_paths(spec: Json) -> None:
    """Path parameters are named as in the answers: runId, not run_id."""
    spec["paths"] = {
        re.sub(r"{(\w+)}", lambda found: f"{{{_camel(found[1])}}}", path): operations
        for path, operations in spec["paths"].items()
    }
    for operations in spec["paths"].values():
        for operation in operations.values():
            for parameter in operation["parameters"]:
                if parameter["in"] == "path":
                    parameter["name"] = _camel(parameter["name"])


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
