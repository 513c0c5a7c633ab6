"""A run is guarded where its agent asks before it acts, by its mode, its sandbox or a rule."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from executor.agents.registry import load_registry
from executor.agents.trust.guard import is_guarded
from executor.agents.turn import Turn
from schema.options import AppOptions
from schema.wire import Json
from tests.start_runs import start_run
from tests.structure.repository import ROOT


def turn_of(options: Json, *, must_ask: bool = False) -> Turn:
    run = start_run(provider="codex", options=AppOptions.model_validate(options), must_ask=must_ask)
    return Turn(run=run, workspace=Path("/workspace"), home=Path("/home"))


@pytest.mark.parametrize(
    ("options", "guarded"),
    [
        ({}, False),
        ({"mode": "ask"}, True),
        ({"sandbox": "read-only"}, True),
        ({"sandbox": "workspace-write"}, True),
        ({"sandbox": "danger-full-access"}, False),
        ({"sandbox": "read-only", "trustWorkspace": True}, False),
    ],
)
def test_codex_is_guarded_where_it_asks_although_the_registry_says_auto(options: Json, *, guarded: bool) -> None:
    codex = load_registry(ROOT / "providers.toml", agents_dir=Path("agents"), environment={}).find("codex")
    assert codex

    assert is_guarded(turn_of(options), replace(codex, mode="auto")) is guarded


def test_a_rule_guards_a_sandbox_that_asks_nothing() -> None:
    codex = load_registry(ROOT / "providers.toml", agents_dir=Path("agents"), environment={}).find("codex")
    assert codex

    assert is_guarded(turn_of({"sandbox": "danger-full-access"}, must_ask=True), codex)
