"""Present providers as wire answers."""

from __future__ import annotations

from functions.providers.schemas import Capabilities, ModelChoice, ModelChoices, ProviderAnswer, ProviderOptionsAnswer
from handlers.providers.registry import RegisteredProvider

MODES = ["ask", "auto"]
"""The modes of RunOptions."""


def provider_answer(provider: RegisteredProvider) -> ProviderAnswer:
    declared, proved = provider.declared, provider.proved
    return ProviderAnswer(
        name=declared.name,
        title=declared.title,
        ready=declared.ready,
        reason=declared.reason,
        reason_code=declared.reason_code,
        reason_values=declared.reason_values or None,
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


def provider_options_answer(provider: RegisteredProvider) -> ProviderOptionsAnswer:
    declared, options = provider.declared, provider.options
    models = [
        ModelChoice(
            id=model.id,
            title=model.title,
            context_size=model.context_size,
            default=model.id == declared.default_model or None,
        )
        for model in declared.models
        if "model" in options or model.id == declared.default_model
    ]
    return ProviderOptionsAnswer(
        models=ModelChoices(items=models, free="model" in options, source="configured" if models else "none"),
        modes=MODES if "mode" in options else [],
        sandbox=declared.sandboxes if "sandbox" in options else [],
    )
