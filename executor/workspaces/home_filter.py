"""Choose what of an agent's home is saved: the paths that the registry's providers keep, and never a login or a secret
value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
"""Files and folders that hold programs' credentials. They never leave the worker, even when a provider names them."""


@dataclass(frozen=True)
class HomeFilter:
    """List paths below the home: save `keep` and everything below, except `drop` and files that hold one of
    `secrets`."""

    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)


def load_home_filter(settings: ProviderSettings, environment: Mapping[str, str]) -> HomeFilter:
    """Build the filter of all providers together, because they share one home.

    Files that the registry itself writes are dropped: the executor writes them again.
    """
    from executor.agents.registry import load_registry

    registry = load_registry(settings.providers_file, agents_dir=settings.agents_dir, environment=environment)
    providers = registry.providers.values()
    keep = {path for provider in providers for path in provider.keep}
    drop = {file.path for provider in providers for file in provider.files} | LOGINS
    secrets = registry.secrets() | settings.own_secrets
    return HomeFilter(tuple(sorted(keep)), tuple(sorted(drop)), tuple(sorted(secrets)))
