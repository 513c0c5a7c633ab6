"""The variables of this machine's environment that hold secrets, and environments that do not show them.

A shell's environment holds more than Runyard's own secrets: keys of other programs, for example. So a program that
agents could look at shows an allow list alone, and inherits all other variables in a file without a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from schema.agent_environment import is_harmless, secrets_named
from schema.sealed_environment import CONTROL_PLANE_SECRETS

CLONE = Path(__file__).resolve().parents[2]
_SECRETS = (*CONTROL_PLANE_SECRETS, "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "RUNYARD_TOKEN")
_SHOWN_PREFIXES = ("RUNYARD_", "PYTHON", "LD_", "DYLD_", "MALLOC_")
"""Runyard's settings that are no secrets, and what Python, the linker and the allocator read before any code runs."""


def secret_names(env: Mapping[str, str]) -> list[str]:
    """Return the secrets of the control plane, and those that the providers file takes from the environment."""
    return [*_SECRETS, *secrets_named(Path(env.get("PROVIDERS_FILE") or CLONE / "providers.toml"))]


def hidden_names(env: Mapping[str, str]) -> list[str]:
    """Return the variables that the environment of a program must not show; it inherits them otherwise."""
    secrets = set(secret_names(env))
    return [name for name in env if name in secrets or not _is_shown(name)]


def shown(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program that needs nothing hidden: the database, the trial store."""
    hidden = set(hidden_names(env))
    return {name: value for name, value in env.items() if name not in hidden}


def without_secrets(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program that needs no secret, and settings of its own: npm, for example."""
    secrets = set(secret_names(env))
    return {name: value for name, value in env.items() if name not in secrets}


def _is_shown(name: str) -> bool:
    return is_harmless(name) or name == "HOME" or name.startswith(_SHOWN_PREFIXES)
