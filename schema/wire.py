"""Define the base of all wire types: JSON with camelCase keys, strict about requests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


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
    """A message that Runyard sends, or reads from a peer. Unknown keys are ignored, because peers may be newer."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    def to_json(self) -> Json:
        """Return the camelCase JSON object without empty keys."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Request(Wire):
    """A client's request body or query. An unknown key is an error, so that a misspelt option is not dropped."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class Page(Request):
    """A keyset page: at most `limit` rows after `cursor`."""

    cursor: Text | None = Field(default=None, max_length=200)
    limit: int = Field(default=50, ge=1, le=500)


__all__ = ["AwareDatetime", "Json", "Page", "Request", "Text", "Wire", "datetime", "rfc3339"]
