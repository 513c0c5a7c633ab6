"""What is shipped as proved is proved of the versions that are locked, and bears out what is declared."""

from __future__ import annotations

from pathlib import Path

import pytest

from executor.agents.declared import declare
from executor.agents.proved import proofs
from executor.agents.provider import Provider
from executor.agents.registry import load_registry
from schema.executor_api import ProviderDeclared
from tests.probe.checks import CHECKS

ROOT = Path(__file__).parents[4]
NOT_TO_BE_TRIED = {"arguments"}  # the protocol cannot carry them


def pinned() -> list[Provider]:
    registry = load_registry(ROOT / "providers.toml", agents_dir=Path("agents"), environment={})
    return [one for one in registry.providers.values() if one.npm]


@pytest.fixture(params=pinned(), ids=lambda provider: provider.name)
def declared(request: pytest.FixtureRequest) -> ProviderDeclared:
    return declare(request.param)


def test_exactly_the_locked_versions_are_proved() -> None:
    assert {npm: list(versions) for npm, versions in proofs().items()} == {
        str(one.npm): [declare(one).version] for one in pinned()
    }


def test_every_check_was_made(declared: ProviderDeclared) -> None:
    assert declared.proved is not None
    assert list(declared.proved.capabilities) == list(CHECKS)


def test_what_is_declared_is_what_was_found(declared: ProviderDeclared) -> None:
    assert declared.proved is not None
    found = {name: declared.proved.capabilities[name] for name in declared.capabilities if name in CHECKS}
    assert declared.capabilities == {**found, **dict.fromkeys(NOT_TO_BE_TRIED, False)}


def test_every_option_that_is_declared_and_tried_is_taken(declared: ProviderDeclared) -> None:
    assert declared.proved is not None
    assert [name for name in declared.options if not declared.proved.capabilities.get(name, True)] == []
