"""The registry as the service uses it: read anew for each run, so that a change of the file needs no restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from executor.agents.turn import Listener, Stop, Turn
from executor.process.settings import ProviderSettings
from schema.errors import NotFound
from schema.events import RunFinished
from schema.executor_api import ProviderDeclared

if TYPE_CHECKING:
    from executor.agents.registry import Registry


class ProviderUnknown(NotFound):
    """The executor's registry has no such provider."""

    code: ClassVar[str] = "provider_unknown"


async def take_turn(
    settings: ProviderSettings, environment: Mapping[str, str], turn: Turn, listener: Listener, stop: Stop
) -> RunFinished:
    """Let the turn's provider take it. ProviderUnknown and BadRegistry when there is none to."""
    from executor.agents import run_turn as drive

    provider = _registry(settings, environment).find(turn.provider)
    if provider is None:
        raise ProviderUnknown(f"The executor's registry has no provider {turn.provider!r}.")
    return await drive.take_turn(turn, provider, listener, stop)


def load_drivers() -> None:
    """Import what a first run needs and a quick start does without: half a second, better spent before it comes."""
    import httpx  # noqa: F401

    import schema.signature  # noqa: F401
    from executor.agents import run_turn as drive  # noqa: F401


def declare_providers(settings: ProviderSettings, environment: Mapping[str, str]) -> list[ProviderDeclared]:
    """What each provider says of itself, in the registry's order."""
    from executor.agents.declared import declare

    return [declare(provider) for provider in _registry(settings, environment).providers.values()]


def _registry(settings: ProviderSettings, environment: Mapping[str, str]) -> Registry:
    from executor.agents.registry import load_registry

    return load_registry(settings.providers_file, agents_dir=settings.agents_dir, environment=environment)
