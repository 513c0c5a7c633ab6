"""The environment of an agent, built from an allow list: nothing of ours gets in by being forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from executor.agents.provider import Provider
from executor.process.account import SESSION_MARKER
from schema.agent_environment import is_harmless


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of our own environment that an agent may see."""
    return {key: value for key, value in environment.items() if is_harmless(key)}


def agent_environment(provider: Provider, *, session_id: UUID, home: Path, added: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of an agent: inherited, home, the provider's own, the run's, our marker."""
    own = {variable.name: variable.read() for variable in provider.environment}
    return {
        **provider.host_environment,
        **_home_variables(home),
        **{name: _in_home(value, home) for name, value in own.items() if value is not None},
        **added,
        SESSION_MARKER: str(session_id),
    }


def _home_variables(home: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "XDG_STATE_HOME": str(home / ".local/state"),
        "XDG_CACHE_HOME": str(home / ".cache"),
    }


def _in_home(value: str, home: Path) -> str:
    """`{home}` at the start of a value stands for the agent's home."""
    return str(home) + value.removeprefix("{home}") if value.startswith("{home}") else value
