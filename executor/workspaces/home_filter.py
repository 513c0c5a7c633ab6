"""What of an agent's home is saved: what the registry's providers keep, and never a login."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from executor.process.settings import ProviderSettings

LOGINS = frozenset(
    {
        ".codex/auth.json",
        ".claude/.credentials.json",
        ".local/share/opencode/auth.json",
        ".local/share/opencode/mcp-auth.json",
        ".config/gh/hosts.yml",
        ".docker/config.json",
        ".git-credentials",
        ".netrc",
        ".ssh",
        ".aws",
        ".gnupg",
    }
)
"""Files (and folders) in which programs keep what signs them in. They never leave the worker, whoever names them."""


@dataclass(frozen=True)
class HomeFilter:
    """Paths below the home: `keep` with all below them, without `drop`."""

    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


def kept_of_home(settings: ProviderSettings, environment: Mapping[str, str]) -> HomeFilter:
    """Of all providers together: the home is one. Files that the registry itself puts there are put there anew."""
    from executor.agents.registry import load_registry

    registry = load_registry(settings.providers_file, agents_dir=settings.agents_dir, environment=environment)
    providers = registry.providers.values()
    keep = {path for provider in providers for path in provider.keep}
    drop = {file.path for provider in providers for file in provider.files} | LOGINS
    return HomeFilter(tuple(sorted(keep)), tuple(sorted(drop)))
