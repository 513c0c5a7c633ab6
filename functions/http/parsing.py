"""Parse requests where APIFlask's decorators do not: signed bodies, headers, the queries of sockets."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from flask import Request, request
from pydantic import BaseModel, ValidationError

from functions.http.problems import MalformedJson, plain_fault
from functions.http.schemas import IDEMPOTENCY_KEY, LAST_EVENT_ID
from handlers.runs.start import Idempotency
from schema.errors import Invalid, InvalidId
from schema.json_limits import MOST_FAULTS

Model = TypeVar("Model", bound=BaseModel)
MAX_WAIT_SECONDS = 60
_PREFERRED_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?:$|[,;])", re.IGNORECASE)
_KEY = re.compile(IDEMPOTENCY_KEY)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ApiRequest(Request):
    """A request. An empty body is an empty object; a malformed body raises MalformedJson with the reason."""

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:  # noqa: FBT001, FBT002  Flask's
        if not self.get_data():
            return {}
        value = super().get_json(force=force, silent=silent, cache=cache)
        if value is None:  # APIFlask would treat null as an empty object
            raise Invalid("The body is null, not an object.")
        return value

    def on_json_loading_failed(self, e: ValueError | None) -> Any:
        raise MalformedJson(f"The body is not JSON: {e}.")


def parsed(model: type[Model], value: object, *, where: str) -> Model:
    """Parse the value. Raises Invalid with the fields that do not fit, without the input's values."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
    errors = [
        {"where": ".".join([where, *map(str, fault["loc"])])[:200], "problem": plain_fault(fault["msg"])}
        for fault in faults[:MOST_FAULTS]
    ]
    detail = "; ".join(f"{fault['where']}: {fault['problem']}" for fault in errors[:3])
    are_ids = all(fault["type"].startswith("uuid_") for fault in faults)
    raise (InvalidId if are_ids else Invalid)(detail, errors=errors)


def last_event_id() -> int | None:
    """Return the number that a reconnecting EventSource sends, None without it. Raises Invalid for other text."""
    text = request.headers.get("Last-Event-ID", "").strip()
    if not re.fullmatch(LAST_EVENT_ID, text):
        raise Invalid("Last-Event-ID is not the number of an event.", code="bad_cursor")
    return int(text) if text else None


def preferred_wait_seconds() -> int:
    """Return the seconds of `Prefer: wait=N` (RFC 7240), at most MAX_WAIT_SECONDS; 0 without the header."""
    preference = _PREFERRED_WAIT.search(request.headers.get("Prefer", ""))
    return min(int(preference[1]), MAX_WAIT_SECONDS) if preference else 0


def idempotency() -> Idempotency | None:
    """Return the request's key and a digest of its body that ignores the order of keys; None without a key."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise Invalid("Idempotency-Key has 1 to 255 visible ASCII characters.", code="bad_idempotency_key")
    body = json.dumps(request.get_json(force=True), sort_keys=True, separators=(",", ":"))
    return Idempotency(key=key, body_digest=hashlib.sha256(body.encode()).digest())


def page_cursor(created_at: datetime, id_: UUID) -> str:
    """Return the cursor (PAGE_CURSOR) of the next page of a newest-first list."""
    return f"{round((created_at - _EPOCH) / timedelta(microseconds=1))}-{id_}"


def read_page_cursor(cursor: str | None) -> tuple[str, UUID] | None:
    """Return the cursor as handlers.runs.read takes it: time and id; None for the first page."""
    if cursor is None:
        return None
    microseconds, _, id_ = cursor.partition("-")
    return (_EPOCH + timedelta(microseconds=int(microseconds))).isoformat(), UUID(id_)
