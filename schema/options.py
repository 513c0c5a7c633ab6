"""Define a run's options: which a client may ask for, and which of these a provider must declare."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.alias_generators import to_camel

from schema.wire import Json, Request, Text

_OF_RUNYARD = frozenset({"resume", "require_human_loop", "tools"})
"""Options that Runyard takes itself, and `tools`, whose two sides count one by one. A provider must list all others."""


class Tools(Request):
    """Names of the agent's own tools."""

    allow: list[Text] = Field(default_factory=list, max_length=200)
    deny: list[Text] = Field(default_factory=list, max_length=200)


class RunOptions(Request):
    """A run's options. `cwd` is relative to the workspace. An option that the provider does not support is refused by
    name."""

    model: Text | None = Field(default=None, min_length=1, max_length=200)
    mode: Literal["auto", "ask"] | None = None
    resume: bool = True
    require_human_loop: bool = False
    tools: Tools | None = None
    cwd: Text | None = Field(default=None, max_length=1024)
    profile: Text | None = Field(default=None, max_length=200)
    sandbox: Text | None = Field(default=None, max_length=200)
    approval: Text | None = Field(default=None, max_length=200)
    provider_options: Json | None = None

    def asked_of_provider(self) -> list[str]:
        """Return the set options that the provider itself must support, named as in `ProviderDeclared.options`."""
        names = [
            to_camel(name)
            for name in type(self).model_fields
            if name not in _OF_RUNYARD and getattr(self, name) is not None
        ]
        if self.tools is not None:
            names += [f"tools.{side}" for side in ("allow", "deny") if getattr(self.tools, side)]
        return names


def provider_options() -> list[str]:
    """Return the names of all options that a provider may support."""
    names = [to_camel(name) for name in RunOptions.model_fields if name not in _OF_RUNYARD]
    return [*names, *(f"tools.{side}" for side in Tools.model_fields)]
