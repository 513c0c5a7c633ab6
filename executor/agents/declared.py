"""Declare a provider's abilities as far as they are known without starting its program."""

from __future__ import annotations

from dataclasses import dataclass

from executor.agents.install import locked_version
from executor.agents.launch import program_of
from executor.agents.open_session import OpenSession
from executor.agents.proved import proof_of
from executor.agents.provider import Provider
from executor.agents.provider_settings import CODEX_SANDBOXES
from schema.events import RunStarted
from schema.executor_api import DeclaredModel, ProviderDeclared


@dataclass(frozen=True)
class NotReady:
    """Why no run of a provider can start: a stable code, a sentence for people, and what it says of this provider."""

    code: str
    sentence: str
    values: dict[str, str]


def declare(provider: Provider) -> ProviderDeclared:
    """Describe a provider. It is `ready` unless its program or its login is missing; `reason` then says which.

    A program that npm installs on first use counts as ready.
    """
    lack = _missing_program(provider) or missing_login(provider)
    version = pinned_version(provider)
    return ProviderDeclared(
        name=provider.name,
        title=provider.title,
        ready=lack is None,
        reason=lack.sentence if lack else None,
        reason_code=lack.code if lack else None,
        reason_values=lack.values if lack else {},
        version=version,
        options=list(provider.options),
        capabilities=dict(provider.capabilities),
        proved=proof_of(provider.npm, version) if provider.npm and version else None,
        default_model=provider.model,
        default_mode=provider.mode,
        models=_models(provider),
        sandboxes=list(CODEX_SANDBOXES) if provider.dialect == "codex" else [],
    )


def _models(provider: Provider) -> list[DeclaredModel]:
    """Return the entry's models, then those that it only names in `model` and `prices`."""
    listed = {
        model.id: DeclaredModel(id=model.id, title=model.title or model.id, context_size=model.context_size)
        for model in provider.models
    }
    named = [*([provider.model] if provider.model else []), *(provider.prices.models if provider.prices else ())]
    return list({**listed, **{id_: DeclaredModel(id=id_, title=id_) for id_ in named if id_ not in listed}}.values())


def _missing_program(provider: Provider) -> NotReady | None:
    if provider.npm is not None or program_of(provider) is not None:
        return None
    sentence = f"The program {provider.command!r} is not installed. Install it on the worker."
    return NotReady("program_missing", sentence, {"program": provider.command})


def missing_login(provider: Provider) -> NotReady | None:
    """Return what lacks when no variable that signs the agent in is set, else None."""
    if not provider.login:
        return None
    present = {variable.name for variable in provider.environment if variable.read() is not None}
    if present.intersection(provider.login):
        return None
    variables = ", ".join(provider.login)
    sentence = f"No login is configured: set one of {variables} (see providers.toml)."
    return NotReady("login_missing", sentence, {"variables": variables})


def pinned_version(provider: Provider) -> str | None:
    """Return the exact locked version of the program's package, or None when npm does not install it."""
    return None if provider.npm is None else locked_version(provider.npm)


def run_started(provider: Provider, opened: OpenSession) -> RunStarted:
    """Describe a run whose agent is ready for the prompt. A pinned version counts more than what the agent says."""
    version = pinned_version(provider) or opened.agent.version
    return RunStarted(
        provider=provider.name,
        agent=opened.agent.model_copy(update={"version": version}),
        agent_session_id=opened.session_id,
        resumed=opened.resumed,
    )
