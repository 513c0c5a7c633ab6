"""Read request JSON: RFC 8259 without Python's extensions, of bounded depth, storable in PostgreSQL."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn

from flask.json.provider import DefaultJSONProvider

from schema.json_limits import MAX_DEPTH, MAX_ZEROS_PER_CALL, depth_of, read_integer, zeros_of

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_ESCAPES = re.compile(rb"\\u(0000|[dD][89a-fA-F])")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class StrictJson(DefaultJSONProvider):
    """Reads the bodies of Flask's requests."""

    sort_keys = False

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:  # noqa: ARG002
        raw = s if isinstance(s, bytes) else s.encode()
        value = read_json(raw)
        if may_hold_unstorable(raw) and sanitized(value) != value:
            raise ValueError("NUL and lone surrogates cannot be stored")
        return value


def read_json(raw: bytes) -> Any:
    """Return the value. Raises ValueError with a sentence that repeats nothing of the input."""
    try:
        value = json.loads(
            raw.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_numbers(), parse_int=read_integer
        )
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and depth_of(value) > MAX_DEPTH:
        raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
    return value


def read_sanitized(raw: bytes) -> Any:
    """Return the value with U+FFFD for characters that PostgreSQL cannot store; agents do print them."""
    value = read_json(raw)
    return sanitized(value) if may_hold_unstorable(raw) else value


def may_hold_unstorable(raw: bytes) -> bool:
    """Return whether the text escapes NUL or a surrogate, even a paired one. Unescaped, UTF-8 JSON has neither."""
    return _ESCAPES.search(raw) is not None


def sanitized(value: Any) -> Any:
    """Return the value with U+FFFD for every character that PostgreSQL cannot store."""
    if isinstance(value, str):
        return _UNSTORABLE.sub(REPLACEMENT, value)
    if isinstance(value, list):
        return [sanitized(item) for item in value]
    if isinstance(value, dict):
        return {_UNSTORABLE.sub(REPLACEMENT, key): sanitized(item) for key, item in value.items()}
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _numbers() -> Callable[[str], float]:
    """Return a reader of one text's numbers. PostgreSQL writes 1e308 with all its zeros, so their sum is limited."""
    zeros = 0

    def read(text: str) -> float:
        nonlocal zeros
        number = float(text)
        if math.isinf(number):
            raise ValueError("a number is too large")
        if number and not 1e-30 < abs(number) < 1e30:
            zeros += zeros_of(number)
            if zeros > MAX_ZEROS_PER_CALL:
                raise ValueError("too many numbers are very large or very small")
        return number

    return read
