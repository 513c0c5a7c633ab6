"""Define a run's options: which a client may ask for, which only an app may set, and which of these a provider must
declare."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.alias_generators import to_camel

from schema.wire import Flag, Json, Request, Text

_OF_RUNYARD = frozenset({"resume", "require_human_loop", "tools", "trust_workspace"})
"""Options that Runyard takes itself, and `tools`, whose two sides count one by one. A provider must list all others."""


MOST_TOOLS = 200
"""Tools that a run allows, and that it denies."""
LONGEST_CHOICE = 200
"""Characters of a model, profile, sandbox or approval."""
LONGEST_CWD = 1024
"""Characters of a working folder."""
MOST_SERVERS = 50
"""MCP servers of an app."""
LONGEST_SERVER_NAME = 64
LONGEST_COMMAND = 1024
"""Characters of an MCP server's program."""
MOST_ARGUMENTS = 100
"""Arguments of an MCP server's program."""
LONGEST_URL = 2048
"""Characters of an MCP server's address."""
MOST_SETTINGS = 100
"""Variables of an MCP server's program, or headers of its address."""
LONGEST_SETTING_NAME = 200
LONGEST_SETTING = 4096
"""Characters of an argument, a variable or a header of an MCP server."""
LONGEST_INSTRUCTIONS = 65_536
"""Characters of an app's instructions."""


class Tools(Request):
    """Names of the agent's own tools."""

    allow: list[Text] = Field(default_factory=list, max_length=MOST_TOOLS)
    deny: list[Text] = Field(default_factory=list, max_length=MOST_TOOLS)


class RunOptions(Request):
    """A run's options. `cwd` is relative to the workspace. An option that the provider does not support is refused by
    name."""

    model: Text | None = Field(default=None, min_length=1, max_length=LONGEST_CHOICE)
    mode: Literal["auto", "ask"] | None = None
    resume: bool = True
    require_human_loop: bool = False
    tools: Tools | None = None
    cwd: Text | None = Field(default=None, max_length=LONGEST_CWD)
    profile: Text | None = Field(default=None, max_length=LONGEST_CHOICE)
    sandbox: Text | None = Field(default=None, max_length=LONGEST_CHOICE)
    approval: Text | None = Field(default=None, max_length=LONGEST_CHOICE)
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


class NamedSecret(Request):
    """A secret that `[secrets]` of providers.toml names. Its value never reaches the database."""

    secret: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]


Argument = Annotated[Text, Field(max_length=LONGEST_SETTING)]
Setting = Argument | NamedSecret
SettingName = Annotated[str, Field(pattern=rf"^[A-Za-z0-9_-]{{1,{LONGEST_SETTING_NAME}}}$")]
ServerName = Annotated[str, Field(pattern=rf"^[A-Za-z0-9_-]{{1,{LONGEST_SERVER_NAME}}}$")]


class McpServer(Request):
    """An MCP server of an app: a program (`command`, `args`, `env`), or an address (`url`, `headers`)."""

    command: Text | None = Field(default=None, min_length=1, max_length=LONGEST_COMMAND)
    args: list[Argument] = Field(default_factory=list, max_length=MOST_ARGUMENTS)
    env: dict[SettingName, Setting] = Field(default_factory=dict, max_length=MOST_SETTINGS)
    url: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=LONGEST_URL)] | None = None
    headers: dict[SettingName, Setting] = Field(default_factory=dict, max_length=MOST_SETTINGS)

    @model_validator(mode="after")
    def _is_a_program_or_an_address(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("needs exactly one of command, url")
        if self.url is not None and (self.args or self.env):
            raise ValueError("args and env belong to a command")
        if self.command is not None and self.headers:
            raise ValueError("headers belong to a url")
        return self

    def secrets(self) -> list[str]:
        """Return the names of the secrets that the server's settings take."""
        settings = (*self.env.values(), *self.headers.values())
        return [setting.secret for setting in settings if isinstance(setting, NamedSecret)]


class AppOptions(RunOptions):
    """The options of an app, and of a run with its app's defaults. A client cannot set the three that are added here.

    `trust_workspace` lets files of the workspace and of the agent's home start programs and change what is asked.
    """

    trust_workspace: Flag = False
    mcp_servers: dict[ServerName, McpServer] | None = Field(default=None, max_length=MOST_SERVERS)
    instructions: Text | None = Field(default=None, min_length=1, max_length=LONGEST_INSTRUCTIONS)


_OF_APPS = frozenset(AppOptions.model_fields) - frozenset(RunOptions.model_fields)


def without_those_of_apps(options: Json) -> Json:
    """Return a run's stored options without those that only its app may set."""
    return {name: value for name, value in options.items() if name not in {to_camel(own) for own in _OF_APPS}}


def provider_options() -> list[str]:
    """Return the names of all options that a provider may support."""
    names = [to_camel(name) for name in AppOptions.model_fields if name not in _OF_RUNYARD]
    return [*names, *(f"tools.{side}" for side in Tools.model_fields)]
