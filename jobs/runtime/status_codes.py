"""The setting of HTTP status codes after which a call to an executor is repeated."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _only_server_errors(codes: tuple[int, ...]) -> tuple[int, ...]:
    if any(not 500 <= code <= 599 for code in codes):
        raise ValueError("only 5xx may be retried")
    return codes


StatusCodes = Annotated[tuple[int, ...], NoDecode, BeforeValidator(_split), AfterValidator(_only_server_errors)]
