"""List the providers that runs can use."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from functions.http.auth import permission
from functions.http.schemas import answer
from functions.providers.presenters import provider_answer, provider_options_answer
from functions.providers.schemas import ProviderOptionsAnswer, ProvidersAnswer
from functions.runtime.process import api_process
from handlers.providers.registry import list_providers, provider_named

providers = APIBlueprint("providers", __name__, tag="Providers")


@providers.get("/api/providers")
@permission("providers:read")
@providers.output(ProvidersAnswer)
def get_providers() -> Response:
    """List the providers and their capabilities"""
    with api_process().transaction() as conn:
        known = list_providers(conn)
    return answer(ProvidersAnswer(items=[provider_answer(provider) for provider in known]))


@providers.get("/api/providers/<name>/options")
@permission("providers:read")
@providers.output(ProviderOptionsAnswer)
def get_provider_options(name: str) -> Response:
    """Get the models, modes and sandboxes that a run may choose

    As providers.toml declares them. A run refuses other options with 409.
    """
    with api_process().transaction() as conn:
        return answer(provider_options_answer(provider_named(conn, name)))
