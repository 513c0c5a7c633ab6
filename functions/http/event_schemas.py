"""Describe every type of event in the OpenAPI document: one envelope for each, with its own data."""

from __future__ import annotations

import operator
from functools import reduce
from typing import Any, Literal

from pydantic import BaseModel, Field, RootModel, create_model

from schema.event_data import DATA_OF
from schema.events import Envelope
from schema.wire import Wire


def event_union() -> type[BaseModel]:
    """Return the model `Event`: a union by `type` of every event's envelope."""
    envelopes: list[Any] = [_envelope(type_, data) for type_, data in DATA_OF.items()]
    return create_model(
        "Event",
        __base__=RootModel[Any],
        __doc__="An event of a session's log, by its `type`. A log may also hold types of newer executors.",
        root=(reduce(operator.or_, envelopes), Field(discriminator="type")),
    )


def _envelope(type_: str, data: type[Wire]) -> type[Envelope]:
    name = "".join(word.capitalize() for word in type_.replace("_", ".").split(".")) + "Event"
    kind: Any = Literal[type_]
    return create_model(name, __base__=Envelope, __doc__=data.__doc__, type=(kind, ...), data=(data, ...))
