"""Define the base of all wire types: JSON with camelCase keys, strict about requests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    Strict,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

from schema.json_limits import MOST_UNKNOWN_KEYS, stop_at_first_fault


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain the NUL character")
    return text


Text = Annotated[str, AfterValidator(_without_nul)]
"""Text that PostgreSQL can hold."""

Json = dict[str, Any]
"""A JSON object whose content belongs to another contract."""


def rfc3339(moment: datetime) -> str:
    """The moment in UTC, ending in `Z`, as every time on the wire."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Wire(BaseModel):
    """A message that Runyard sends, or reads from a peer. Unknown keys are ignored, because peers may be newer.

    Validation of a list stops at the first element that does not fit, so that faults cannot fill the memory.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)
    names_all_faults: ClassVar[bool] = False

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        if not cls.names_all_faults:
            stop_at_first_fault(schema)
        return schema

    def to_json(self) -> Json:
        """Return the camelCase JSON object without empty keys."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


Flag = Annotated[bool, Strict()]
"""A JSON true or false, and nothing that a parser might take for one."""


class Request(Wire):
    """A client's request body or query. An unknown key is an error, so that a misspelt option is not dropped."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_many_keys(cls, values: Any) -> Any:
        """Refuse an object of many keys as a whole: each unknown key would be a fault of its own."""
        if isinstance(values, dict) and len(values) > len(cls.model_fields) + MOST_UNKNOWN_KEYS:
            raise ValueError(f"has more than {MOST_UNKNOWN_KEYS} unknown keys")
        return values


class Page(Request):
    """A keyset page: at most `limit` rows after `cursor`."""

    cursor: Text | None = Field(default=None, max_length=200)
    limit: int = Field(default=50, ge=1, le=500)


__all__ = ["AwareDatetime", "Json", "Page", "Request", "Text", "Wire", "datetime", "rfc3339"]
