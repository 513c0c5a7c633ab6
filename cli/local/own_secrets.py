"""The variables of this machine's environment that hold secrets, and an environment without them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from schema.agent_environment import variables_named
from schema.sealed_environment import CONTROL_PLANE_SECRETS

CLONE = Path(__file__).resolve().parents[2]


def secret_names(env: Mapping[str, str]) -> list[str]:
    """Return the secrets of the control plane, and what the providers file takes from the environment."""
    return [*CONTROL_PLANE_SECRETS, *variables_named(Path(env.get("PROVIDERS_FILE") or CLONE / "providers.toml"))]


def without_secrets(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program that needs no secret: the database, the trial store, npm."""
    secrets = set(secret_names(env))
    return {name: value for name, value in env.items() if name not in secrets}
