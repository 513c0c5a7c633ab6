"""Read a callback: its headers first, then the signature over the raw bytes, and only then the body, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.http.openapi import WEBHOOK_HEADERS
from functions.http.parsing import parsed
from functions.http.problems import MalformedJson
from functions.http.strict_json import read_sanitized
from schema.errors import Invalid
from schema.executor_api import CallbackBody
from schema.signature import ATTEMPT_HEADER, Signature, read_signature

_NAMES = {name: f"HTTP_{name.upper().replace('-', '_')}" for name in (*WEBHOOK_HEADERS, ATTEMPT_HEADER)}
_LARGEST_ATTEMPT = 2**31 - 1


@dataclass(frozen=True)
class CallbackHeaders:
    """The headers of a call that may be signed. `attempt` is None when the call does not name it."""

    signature: Signature
    attempt: int | None


def callback_headers(wsgi: Mapping[str, Any]) -> CallbackHeaders | None:
    """Read the headers; None when nothing can be signed by them, so that the body need not be read."""
    headers = {name: str(wsgi.get(key, "")) for name, key in _NAMES.items()}
    signature, attempt = read_signature(headers), headers[ATTEMPT_HEADER].strip()
    if signature is None or not (attempt == "" or _is_attempt(attempt)):
        return None
    return CallbackHeaders(signature, int(attempt) if attempt else None)


def read_body(raw: bytes, headers: CallbackHeaders) -> CallbackBody:
    """Parse the body of a signed call. Raises MalformedJson and Invalid, also when the header names another attempt."""
    try:
        value = read_sanitized(raw)
    except ValueError as error:
        raise MalformedJson(f"The body is not JSON: {error}.") from None
    body = parsed(CallbackBody, value, where="json")
    if headers.attempt not in (None, body.attempt):
        raise Invalid(f"The header {ATTEMPT_HEADER} and the body name different attempts.", code="attempts_differ")
    return body


def _is_attempt(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 10 and 1 <= int(text) <= _LARGEST_ATTEMPT
