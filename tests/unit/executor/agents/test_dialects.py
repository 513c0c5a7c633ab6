"""Options of a run become each program's own settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from executor.agents.failures import TurnFailed
from executor.agents.provider_settings import RunSettings, settings_for
from executor.agents.registry import load_registry
from executor.agents.turn import Turn
from schema.options import AppOptions
from tests.start_runs import start_run

ROOT = Path(__file__).parents[4]


def settings(name: str, **options: Any) -> RunSettings:
    provider = load_registry(ROOT / "providers.toml", agents_dir=Path("agents"), environment={}).find(name)
    assert provider
    turn = Turn(
        run=start_run(provider=name, prompt="", options=AppOptions.model_validate(options)),
        workspace=Path("/workspace"),
        home=Path("/home"),
    )
    return settings_for(turn, provider)


@pytest.mark.parametrize(
    "name, ask, auto",
    [
        ("claude-code", "default", "bypassPermissions"),
        ("codex", "read-only", "agent-full-access"),
        ("demo", "ask", "auto"),
    ],
)
def test_the_mode_is_the_agents_own(name: str, ask: str, auto: str) -> None:
    assert (settings(name, mode="ask").mode, settings(name, mode="auto").mode) == (ask, auto)
    assert settings(name).mode == ask


def test_claude_code_gets_tools_in_its_session() -> None:
    given = settings("claude-code", tools={"allow": ["Read"], "deny": ["Bash"]}, providerOptions={"maxTurns": 3})

    options = given.session_meta["claudeCode"]["options"]
    assert (options["allowedTools"], options["disallowedTools"], options["maxTurns"]) == (["Read"], ["Bash"], 3)


def test_opencode_gets_permissions_as_configuration() -> None:
    def permission(**options: Any) -> dict[str, str]:
        config = json.loads(settings("opencode", **options).environment["OPENCODE_CONFIG_CONTENT"])
        rules: dict[str, str] = config["permission"]
        return rules

    assert permission(mode="ask")["bash"] == "ask"
    assert set(permission(mode="auto").values()) == {"allow"}
    tools = permission(mode="ask", tools={"allow": ["bash"], "deny": ["webfetch"]})
    assert (tools["bash"], tools["edit"], tools["webfetch"]) == ("allow", "ask", "deny")


def test_codex_maps_its_sandboxes() -> None:
    assert settings("codex", sandbox="workspace-write").mode == "workspace-write"
    assert settings("codex", sandbox="danger-full-access", mode="auto").mode == "agent-full-access"
    assert json.loads(settings("codex", providerOptions={"a": 1}).environment["CODEX_CONFIG"]) == {"a": 1}


@pytest.mark.parametrize(
    "name, options",
    [
        ("codex", {"sandbox": "none"}),
        ("codex", {"sandbox": "read-only", "mode": "auto"}),
        ("codex", {"tools": {"deny": ["x"]}}),
        ("opencode", {"profile": "x"}),
        ("demo", {"providerOptions": {"x": 1}}),
    ],
)
def test_what_cannot_be_mapped_is_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(TurnFailed) as caught:
        settings(name, **options)
    assert caught.value.code == "option_refused"
