"""A run's options: what a client may ask of a provider, and which of it a provider must declare that it can take."""

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
    """`cwd` is relative to the workspace. What the provider cannot do is refused with its name, never dropped."""

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
        """Names of the settings that the provider itself must support, as in `ProviderDeclared.options`."""
        asked = [
            to_camel(name)
            for name in type(self).model_fields
            if name not in _OF_RUNYARD and getattr(self, name) is not None
        ]
        if self.tools is not None:
            asked += [f"tools.{side}" for side in ("allow", "deny") if getattr(self.tools, side)]
        return asked
