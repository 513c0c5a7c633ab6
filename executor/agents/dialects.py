"""What each program needs beyond the protocol: how a run's options become its own settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from executor.agents.provider import Provider
from executor.agents.turn import Turn


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """For one run: variables for its process, `_meta` for session/new (and resume, load), the agent's mode and model;
    None leaves the agent's own default."""

    environment: Mapping[str, str] = field(default_factory=dict)
    session_meta: Mapping[str, Any] = field(default_factory=dict)
    mode: str | None = None
    model: str | None = None


def settings_for(turn: Turn, provider: Provider) -> RunSettings:
    mode = turn.options.mode or provider.mode
    return RunSettings(mode=provider.modes.get(mode), model=turn.options.model or provider.model)
