"""Read the registry anew for each run, so that a change of the file needs no restart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from executor.agents.turn import Listener, Stop, Turn
from executor.process.settings import ProviderSettings
from schema.errors import NotFound
from schema.events import RunFinished
from schema.executor_api import ProviderDeclared

if TYPE_CHECKING:
    from executor.agents.registry import Registry


class ProviderUnknown(NotFound):
    """The executor's registry does not contain this provider."""

    code: ClassVar[str] = "provider_unknown"


async def take_turn(
    settings: ProviderSettings, environment: Mapping[str, str], turn: Turn, listener: Listener, stop: Stop
) -> RunFinished:
    """Let the turn's provider run it. Raises ProviderUnknown or BadRegistry."""
    from executor.agents import run_turn as run_turn_module

    registry = _registry(settings, environment)
    provider = registry.find(turn.run.provider)
    if provider is None:
        raise ProviderUnknown(
            f"The executor's registry has no provider {turn.run.provider!r}. Add it to providers.toml."
        )
    secrets = registry.secrets() | settings.own_secrets
    limited = replace(turn, silent_seconds=settings.agent_silent_seconds, secrets=secrets)
    return await run_turn_module.take_turn(limited, provider, listener, stop)


def load_drivers() -> None:
    """Import early what the first run needs. It takes half a second, which a quick start does without."""
    import httpx  # noqa: F401

    import schema.signature  # noqa: F401
    from executor.agents import run_turn as run_turn_module  # noqa: F401


def declare_providers(settings: ProviderSettings, environment: Mapping[str, str]) -> list[ProviderDeclared]:
    """Describe every provider, in the registry's order."""
    from executor.agents.declared import declare

    return [declare(provider) for provider in _registry(settings, environment).providers.values()]


def _registry(settings: ProviderSettings, environment: Mapping[str, str]) -> Registry:
    from executor.agents.registry import load_registry

    return load_registry(settings.providers_file, agents_dir=settings.agents_dir, environment=environment)
