"""Define answers of the routes of providers."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from schema.wire import Wire


class Capabilities(Wire):
    """`said`: claims of this version's agent, once it has run. `probed`: results of the conformance probe, run against
    `probed_version`. `effective`: capabilities that a run can count on."""

    declared: dict[str, bool]
    said: dict[str, bool] | None = None
    probed: dict[str, bool] | None = None
    probed_version: str | None = None
    probed_at: AwareDatetime | None = None
    effective: dict[str, bool]


class ProviderAnswer(Wire):
    """`reason` says why it is not `ready`: `reasonCode` names the sentence, `reasonValues` what it says of this
    provider. An executor of an older release gives no code."""

    name: str
    title: str
    ready: bool
    reason: str | None = None
    reason_code: str | None = None
    reason_values: dict[str, str] | None = None
    version: str | None = None
    options: list[str]
    default_model: str | None = None
    default_mode: str
    capabilities: Capabilities


class ProvidersAnswer(Wire):
    items: list[ProviderAnswer]


class ModelChoice(Wire):
    """`contextSize` is in tokens, and left out when unknown."""

    id: str
    title: str
    context_size: int | None = None
    default: bool | None = None


class ModelChoices(Wire):
    """`free` when a run may name any other model too. `source` is `none` when the entry lists no model."""

    items: list[ModelChoice]
    free: bool
    source: Literal["configured", "none"]


class ProviderOptionsAnswer(Wire):
    """The choices of a run. An empty list is an option that the provider does not take."""

    models: ModelChoices
    modes: list[str]
    sandbox: list[str]
