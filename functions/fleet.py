"""What runs can be done with: the providers."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from functions.admission import permission
from functions.answers import ProvidersAnswer, answer
from functions.edge import edge
from functions.rows_to_answers import provider_answer
from handlers.providers import list_providers

fleet = APIBlueprint("fleet", __name__, tag="Providers")


@fleet.get("/api/providers")
@permission("providers:read")
@fleet.output(ProvidersAnswer)
def get_providers() -> Response:
    """The providers and what each can do"""
    with edge().transaction() as conn:
        found = list_providers(conn)
    return answer(ProvidersAnswer(items=[provider_answer(provider) for provider in found]))
