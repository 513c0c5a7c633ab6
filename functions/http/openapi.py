"""Complete the OpenAPI document that APIFlask makes; `functions/openapi_file.py` writes it to a file.

APIFlask describes bodies, queries and answers. This module adds the parts that many routes share: problems, security,
headers.
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
from functions.http.event_schemas import event_union
from functions.http.schemas import IDEMPOTENCY_KEY, LAST_EVENT_ID
from schema.executor_api import CallbackBody
from schema.signature import ATTEMPT_HEADER
from schema.wire import Json

ABOUT = """\
A control plane for coding-agent runs. Times are RFC 3339 in UTC, ids are UUIDs, keys are camelCase. Runyard refuses
unknown keys in requests; clients ignore unknown keys in answers.

**Errors** are `application/problem+json` (RFC 9457); `code` is stable and for programs, `detail` is a sentence.

**Live**: `WS /api/sessions/{sessionId}/ws?after=N` sends `{"kind": "event", ...envelope}` for every event after N, once
and in order. Without `after` it first sends `{"kind": "snapshot", session, runs, requests, ..., seq}`. It answers
`{"kind": "ping"}` with `{"kind": "pong"}`. Before it closes it sends `{"kind": "closing", code, reason, seq}`: 4008
slow reader, 4401 login expired, 4403 forbidden, 1012 restart.

`WS /api/ws` is one socket for a browser's tab. Send `{"kind": "subscribe", sessionId, after?}` and
`{"kind": "unsubscribe", sessionId}`; every frame of a session has its `sessionId`. Unasked come `session` for a changed
row of your list, `session_deleted`, `request` when a request that waits for you opens or closes, and `presence`. Its
`closing` has `cursors`, the `after` of each session. `SocketFrame` in this document is every frame of both sockets.

**Signing in**: send a bearer token. A browser signs in at `/sign-in?code=...` and receives a cookie; with the cookie,
every change needs an `Origin` of Runyard's own.
"""
WEBHOOK_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
_SCHEMAS: Json = {
    "Idempotency-Key": {"type": "string", "pattern": IDEMPOTENCY_KEY},
    "Last-Event-ID": {"type": "string", "pattern": LAST_EVENT_ID},
    ATTEMPT_HEADER: {"type": "integer", "minimum": 1},
}
REQUEST_HEADERS = {
    "Idempotency-Key": "Requests with the same key and body start one run. The same key with another body is 409.",
    "Prefer": "`wait=N`: answer when the run has ended, within N seconds (at most 60).",
    "Last-Event-ID": "The number (`seq`) of the last received event. It wins over `cursor`.",
    "traceparent": "W3C Trace Context: the run becomes part of this trace.",
    **dict.fromkeys(WEBHOOK_HEADERS, "As in Standard Webhooks."),
    ATTEMPT_HEADER: "The attempt whose key signed the call. Default: the run's current attempt.",
}
_PROBLEMS = {
    "400": "The body is not JSON",
    "401": "Not signed in, or not signed",
    "403": "Signed in, but not allowed",
    "404": "Not found, or not visible to you",
    "409": "The request conflicts with the present state",
    "413": "Too large",
    "431": "The request line and headers are too large",
    "422": "The request is invalid; `errors` names the fields",
    "429": "You have used up a share; `share` names it, `limit` is how much it is",
    "503": "Temporarily unavailable",
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
    "RateLimit": {
        "description": "What is left of the share that is named (draft-ietf-httpapi-ratelimit-headers-10)",
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": "The share: `q` in `w` seconds, or at once where `qu` says so",
        "schema": {"type": "string"},
    },
    "WWW-Authenticate": {"description": "`Bearer`", "schema": {"type": "string"}},
    "Location": {"description": "The address of the created resource", "schema": {"type": "string"}},
    "Link": {"description": "Where the save of the run's files is seen (RFC 8288)", "schema": {"type": "string"}},
    "Preference-Applied": {"description": "`wait=N`", "schema": {"type": "string"}},
    "x-trace-id": {"description": "The id of this request in the logs", "schema": {"type": "string"}},
}
EVENT_STREAM: Json = {
    "schema": {
        "type": "object",
        "description": "Events; a comment every 15 s.",
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
    "postUpload",
    "reconcileRuns",
    "reconcileSyncs",
    "removeStoppedWorker",
    "removeStoppedWorkers",
    "postRetry",
    "rotateKey",
    "stopIdleWorker",
    "stopIdleWorkers",
    "syncWorker",
}
_OF_STATUS = {
    "201": ["Location"],
    "202": ["Location"],
    "401": ["WWW-Authenticate"],
    "429": ["Retry-After", "RateLimit", "RateLimit-Policy"],
    "503": ["Retry-After"],
}


def describe(app: APIFlask, *, waited: type[BaseModel], frame: type[BaseModel]) -> None:
    """Configure the document. `waited` is the answer to a start that waits for the end of its run, `frame` what comes
    over WebSockets."""
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
        completed = _completed(app, spec, waited)
        _schema(completed["components"], frame)
        _require_kinds(completed["components"]["schemas"], frame.__name__)
        return completed


def also(responses: dict[int, Json]) -> Any:
    """Return further answers of a view as OpenAPI response objects; APIFlask's own type is too narrow for them."""
    return responses


def conflicts(*codes: str) -> Any:
    """Return the 409 answer of a view with its codes."""
    return also({409: {"description": f"{_PROBLEMS['409']}: {', '.join(f'`{code}`' for code in codes)}"}})


def takes_headers(*names: str) -> Any:
    """Declare the request headers that a view reads, out of REQUEST_HEADERS; for `doc(extensions=...)`."""
    return {"x-headers": list(names)}


def document(app: Flask) -> Json:
    """Return this app's document, the same on every machine."""
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
    _schema(components, event_union())
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
        if parameter["in"] == "path" and f"<uuid:{parameter['name']}>" in rule.rule:
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
    body = operation.pop("x-body", None)
    if body is not None:
        operation["requestBody"] = {"content": body}
    if "requestBody" in operation:
        operation["requestBody"]["required"] = operation["operationId"] not in BODY_OPTIONAL
    has_input = "requestBody" in operation or any(parameter["in"] in ("query", "header") for parameter in parameters)
    _answer_problem(
        operation,
        *(["401", "403"] if needed != PUBLIC else []),
        *(["404"] if rule.arguments or {"requestBody", "404"} & {*operation, *operation["responses"]} else []),
        *(["400", "413"] if "requestBody" in operation else []),
        *(["422"] if has_input or rule.arguments else []),
        *(["404"] if rule.rule.startswith("/api/files/") else []),
        *(["431"] if any(parameter["in"] == "query" for parameter in parameters) else []),
        *(["409"] if "409" in operation["responses"] else []),
        *(["429"] if needed != PUBLIC else []),
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
    """Add the model's schema and all schemas that it refers to; return a reference to it."""
    name = model.__name__
    schema = model.model_json_schema(ref_template=f"#/components/schemas/{name}.{{model}}")
    for inner, definition in schema.pop("$defs", {}).items():
        components["schemas"][f"{name}.{inner}"] = definition
    components["schemas"][name] = schema
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}


def _require_kinds(schemas: Json, union: str) -> None:
    """Each model of the union always has its `kind`: the default is only for who makes one."""
    for reference in schemas[union]["discriminator"]["mapping"].values():
        schema = schemas[reference.rpartition("/")[2]]
        schema["required"] = ["kind", *schema.get("required", [])]


def _camel_case_paths(spec: Json) -> None:
    """Name path parameters as in answers: runId, not run_id."""
    spec["paths"] = {
        re.sub(r"{(\w+)}", lambda match: f"{{{_camel(match[1])}}}", path): operations
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
