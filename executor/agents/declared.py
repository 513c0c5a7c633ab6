"""What a provider says of itself, as far as can be told without starting its program."""

from __future__ import annotations

from executor.agents.install import locked_version
from executor.agents.launch import program_of
from executor.agents.proved import proof_of
from executor.agents.provider import Provider
from schema.executor_api import ProviderDeclared


def declare(provider: Provider) -> ProviderDeclared:
    """`ready` with a reason when its program or its login is missing. A program that npm installs on first use does
    not make it unready."""
    reason = _missing_program(provider) or missing_login(provider)
    version = pinned_version(provider)
    return ProviderDeclared(
        name=provider.name,
        title=provider.title,
        ready=reason is None,
        reason=reason,
        version=version,
        options=list(provider.options),
        capabilities=dict(provider.capabilities),
        proved=proof_of(provider.npm, version) if provider.npm and version else None,
        default_model=provider.model,
        default_mode=provider.mode,
    )


def _missing_program(provider: Provider) -> str | None:
    if provider.npm is not None or program_of(provider) is not None:
        return None
    return f"The program {provider.command!r} is not installed."


def missing_login(provider: Provider) -> str | None:
    """The sentence to tell when none of the variables that sign the agent in is set; None when one is."""
    if not provider.login:
        return None
    present = {variable.name for variable in provider.environment if variable.read() is not None}
    if present.intersection(provider.login):
        return None
    return f"No login is configured: set one of {', '.join(provider.login)} (see providers.toml)."


def pinned_version(provider: Provider) -> str | None:
    """The exact version of the program's package in our lock; None when npm brings nothing of it."""
    return None if provider.npm is None else locked_version(provider.npm)
