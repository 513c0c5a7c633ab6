"""List the providers that runs can use."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from functions.http.auth import permission
from functions.http.schemas import answer
from functions.providers.presenters import provider_answer
from functions.providers.schemas import ProvidersAnswer
from functions.runtime.process import api_process
from handlers.providers.registry import list_providers

fleet = APIBlueprint("fleet", __name__, tag="Providers")


@fleet.get("/api/providers")
@permission("providers:read")
@fleet.output(ProvidersAnswer)
def get_providers() -> Response:
    """List the providers and their capabilities"""
    with api_process().transaction() as conn:
        found = list_providers(conn)
    return answer(ProvidersAnswer(items=[provider_answer(provider) for provider in found]))
