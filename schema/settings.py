"""What the settings of several parts have in common: limits, and how a value that cannot be used is told."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, Field, ValidationError

from schema.errors import RunyardError
from schema.worker_limits import DAY_SECONDS

Seconds = Annotated[float, Field(gt=0, le=DAY_SECONDS)]
PauseMs = Annotated[int, Field(ge=0, le=1000 * DAY_SECONDS)]
StopGraceSeconds = Annotated[float, Field(ge=0, le=600)]
HeartbeatSeconds = Annotated[float, Field(gt=0, le=600)]


class BadSetting(RunyardError):
    """A setting cannot be used; one sentence says which and why, never its value."""

    code: ClassVar[str] = "bad_settings"


def fault_sentence(error: ValidationError, kind: type[BaseModel]) -> str:
    """One sentence about what is wrong first, by the name of its environment variable. Never the value, which may be a
    secret."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return f"{message}."
    name = _variable(str(first["loc"][0]), kind)
    if first["type"] == "missing":
        return f"{name} is not set."
    return f"{name}: {message[0].lower()}{message[1:]}."


def _variable(field: str, kind: type[BaseModel]) -> str:
    """The environment variable of a field, which may be named by its variable already."""
    known = kind.model_fields.get(field)
    alias = known.validation_alias if known else None
    return alias if isinstance(alias, str) else field.upper()
