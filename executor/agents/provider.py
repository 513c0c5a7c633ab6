"""Describe one provider: how to start its agent, its environment and files, and its options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

RunMode = Literal["auto", "ask"]
Dialect = Literal["acp", "claude-code", "codex", "opencode"]
"""The program whose own settings `options` map to. `acp` is the protocol alone
(executor/agents/provider_settings.py)."""


@dataclass(frozen=True, kw_only=True)
class Variable:
    """One entry of the agent's environment. `value` is None when it is unset, or when `secret_file` holds it."""

    name: str
    value: str | None = field(default=None, repr=False)
    secret_file: Path | None = None
    secret: bool = False

    def read(self) -> str | None:
        """Return the current value, without the line end of a secret file, or None when there is none."""
        if self.secret_file is None:
            return self.value or None
        try:
            return self.secret_file.read_text(encoding="utf-8-sig").strip() or None
        except (OSError, UnicodeDecodeError):
            return None


@dataclass(frozen=True, kw_only=True)
class HomeFile:
    """A file written to the agent's home at each start, mode 600. `source` is read at that time."""

    path: str
    content: str | None = field(default=None, repr=False)
    source: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Price:
    """Prices per million tokens, in the table's currency. A used bucket without a price makes the cost unknown."""

    input: float
    output: float
    cached_read: float | None = None
    cached_write: float | None = None


@dataclass(frozen=True, kw_only=True)
class PriceTable:
    version: str
    currency: str
    models: Mapping[str, Price]


Span = Literal["turn", "process", "session"]
"""The scope of a reported number: this turn, all since the agent's process began, or the whole session so far."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Over which span an agent counts its tokens and its cost. None is unknown: only a session's first turn is sure."""

    tokens: Span | None = None
    cost: Span | None = None


UNKNOWN_COUNTS = Counts()


@dataclass(frozen=True, kw_only=True)
class ListedModel:
    """A model that people may choose. `context_size` is in tokens."""

    id: str
    title: str | None = None
    context_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One checked entry of providers.toml. `options` are keys as in RunOptions.asked_of_provider."""

    name: str
    title: str
    command: str
    args: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    npm: str | None = None
    agents_dir: Path
    dialect: Dialect = "acp"
    environment: tuple[Variable, ...] = ()
    host_environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: tuple[HomeFile, ...] = ()
    keep: tuple[str, ...] = ()
    login: tuple[str, ...] = ()
    authenticate: str | None = None
    model: str | None = None
    models: tuple[ListedModel, ...] = ()
    mode: RunMode = "ask"
    modes: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    capabilities: Mapping[str, bool] = field(default_factory=dict)
    prices: PriceTable | None = None
    counts: Counts = UNKNOWN_COUNTS
    start_seconds: float = 60.0
    app_secrets: Mapping[str, Variable] = field(default_factory=dict)
    """The secrets that MCP servers of apps may name."""

    def secrets(self) -> list[str]:
        """Return the values that must never reach a log line or an event."""
        variables = [*self.environment, *self.app_secrets.values()]
        values = [variable.read() for variable in variables if variable.secret]
        return [value for value in values if value]
