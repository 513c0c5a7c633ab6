"""Keep the registry of providers that executors declare, with facts about their versions, and gate every run.

A run can count on a capability that the provider declares or its agent claims, unless the declaration, the agent or
the conformance probe denies it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schema.errors import CapabilityMissing, NotFound
from schema.events import Agent
from schema.executor_api import Proved, ProviderDeclared
from schema.options import RunOptions
from schema.rows import ProviderRow
from schema.sql import Conn, execute, fetch_all, fetch_one, jsonb

ALIASES = {"codex-cli": "codex"}
NO_VERSION = "unknown"
LONGEST_NAME = 100
"""Characters that a refusal repeats of the name of an unknown provider."""


@dataclass(frozen=True)
class RegisteredProvider:
    """`version` is the declared version, else the last one that ran; `said` are the claims of that version's agent."""

    declared: ProviderDeclared
    version: str | None
    said: Mapping[str, bool]
    proved: Proved | None

    @property
    def name(self) -> str:
        return self.declared.name

    @property
    def title(self) -> str:
        return self.declared.title

    @property
    def effective(self) -> dict[str, bool]:
        return effective_capabilities(self.declared.capabilities, self.said, self._found)

    @property
    def options(self) -> list[str]:
        """The run options that the provider supports."""
        return [name for name in self.declared.options if self._found.get(name, True)]

    @property
    def _found(self) -> Mapping[str, bool]:
        return self.proved.capabilities if self.proved else {}

    def can(self, capability: str) -> bool:
        return self.effective.get(capability, False)


def effective_capabilities(
    declared: Mapping[str, bool], said: Mapping[str, bool], proved: Mapping[str, bool]
) -> dict[str, bool]:
    """Return declared and claimed capabilities, minus those that a source denies. A probe only narrows: it ran the
    shipped provider entry, which may differ from this one."""
    sources = (declared, said, proved)
    return {name: all(source.get(name, True) for source in sources) for name in {**declared, **said}}


def announce_providers(conn: Conn, declared: Sequence[ProviderDeclared]) -> None:
    """Replace the registry by the providers that executors declare now."""
    for provider in declared:
        execute(conn, "announce_provider", name=provider.name, declared=jsonb(_without_proof(provider)))
        if provider.version is not None:
            proved = provider.proved
            execute(
                conn,
                "announce_proof",
                provider=provider.name,
                version=provider.version,
                proved=None if proved is None else jsonb(proved.capabilities),
                proved_at=None if proved is None else proved.at,
            )
    execute(conn, "withdraw_providers", announced=[provider.name for provider in declared])


def list_providers(conn: Conn) -> list[RegisteredProvider]:
    return [_provider(row) for row in fetch_all(conn, "providers", ProviderRow, name=None)]


def provider_named(conn: Conn, name: str) -> RegisteredProvider:
    """Return the provider by its name or alias. Raises NotFound with the known names."""
    provider = None if "\x00" in name else find_provider(conn, ALIASES.get(name, name))
    if provider is None:
        known = ", ".join(provider.name for provider in list_providers(conn)) or "none yet"
        raise NotFound(f"There is no provider named {name[:LONGEST_NAME]}. Known: {known}.", code="unknown_provider")
    return provider


def find_provider(conn: Conn, name: str) -> RegisteredProvider | None:
    """Return the provider of exactly this name; None when it is not registered."""
    row = fetch_one(conn, "providers", ProviderRow, name=name)
    return None if row is None else _provider(row)


def record_agent_claims(conn: Conn, provider: str, agent: Agent) -> None:
    """Store the claims that the provider's agent made when it started, for its version."""
    if agent.says:
        version = agent.version or NO_VERSION
        execute(conn, "record_agent_claims", provider=provider, version=version, said=jsonb(agent.says))


def can_resume(conn: Conn, name: str) -> bool:
    """Return whether the provider can resume conversations; False when it is not registered."""
    provider = find_provider(conn, name)
    return provider is not None and provider.can("resume")


def refuse_unsupported(provider: RegisteredProvider, options: RunOptions) -> None:
    """Raise CapabilityMissing, with the names, if the provider lacks one of the options."""
    missing = [name for name in options.asked_of_provider() if name not in provider.options]
    if missing:
        names = ", ".join(missing)
        raise CapabilityMissing(f"{provider.title} cannot take these options: {names}.", capability=missing[0])


def _provider(row: ProviderRow) -> RegisteredProvider:
    proved = None
    if row.proved is not None and row.proved_at is not None:
        proved = Proved(at=row.proved_at, capabilities=row.proved)
    return RegisteredProvider(ProviderDeclared.model_validate(row.declared), row.version, row.said or {}, proved)


def _without_proof(provider: ProviderDeclared) -> dict[str, object]:
    """Return the declaration without the probe results, which are stored by version."""
    return provider.model_copy(update={"proved": None}).to_json()
