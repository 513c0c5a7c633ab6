"""The registry of providers as the executors declare it, and the gate that every run passes."""

from __future__ import annotations

from collections.abc import Sequence

from schema.errors import CapabilityMissing, NotFound
from schema.executor_api import ProviderDeclared
from schema.options import RunOptions
from schema.rows import ProviderRow
from schema.sql import Conn, execute, fetch_all, fetch_one, jsonb

ALIASES = {"codex-cli": "codex"}


def announce_providers(conn: Conn, declared: Sequence[ProviderDeclared]) -> None:
    """Replace the registry by what the executors' side declares now."""
    for provider in declared:
        execute(conn, "announce_provider", name=provider.name, declared=jsonb(provider.to_json()))
    execute(conn, "withdraw_providers", announced=[provider.name for provider in declared])


def list_providers(conn: Conn) -> list[ProviderDeclared]:
    return [ProviderDeclared.model_validate(row.declared) for row in fetch_all(conn, "providers", ProviderRow)]


def provider_named(conn: Conn, name: str) -> ProviderDeclared:
    """The provider by its name or alias; raises NotFound with the names that there are."""
    row = fetch_one(conn, "provider", ProviderRow, name=ALIASES.get(name, name))
    if row is None:
        known = ", ".join(provider.name for provider in list_providers(conn)) or "none yet"
        raise NotFound(f"There is no provider named {name}. Known: {known}.", code="unknown_provider")
    return ProviderDeclared.model_validate(row.declared)


def can_resume(conn: Conn, name: str) -> bool:
    """Whether the provider declares that its conversations can be resumed; False for one not registered."""
    row = fetch_one(conn, "provider", ProviderRow, name=name)
    return row is not None and ProviderDeclared.model_validate(row.declared).capabilities.get("resume", False)


def refuse_unsupported(provider: ProviderDeclared, options: RunOptions) -> None:
    """Raise CapabilityMissing, naming them, if the provider cannot take some of the options."""
    missing = [name for name in options.asked_of_provider() if name not in provider.options]
    if missing:
        names = ", ".join(missing)
        raise CapabilityMissing(f"{provider.title} cannot take these options: {names}.", capability=missing[0])
