"""Present providers as wire answers."""

from __future__ import annotations

from functions.providers.schemas import Capabilities, ProviderAnswer
from handlers.providers.registry import RegisteredProvider


def provider_answer(provider: RegisteredProvider) -> ProviderAnswer:
    declared, proved = provider.declared, provider.proved
    return ProviderAnswer(
        name=declared.name,
        title=declared.title,
        ready=declared.ready,
        reason=declared.reason,
        version=provider.version,
        options=provider.options,
        default_model=declared.default_model,
        default_mode=declared.default_mode,
        capabilities=Capabilities(
            declared=declared.capabilities,
            said=dict(provider.said) or None,
            probed=proved.capabilities if proved else None,
            probed_version=provider.version if proved else None,
            probed_at=proved.at if proved else None,
            effective=provider.effective,
        ),
    )
