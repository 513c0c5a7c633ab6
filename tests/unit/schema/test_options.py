"""A run's options: the field alone says what a provider must support."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from schema.options import AppOptions, RunOptions, Tools, without_those_of_apps
from schema.wire import Json, Text


class MoreOptions(RunOptions):
    """RunOptions with one more field, as a change would add it."""

    reasoning_effort: Text | None = None


def test_a_new_option_is_asked_of_the_provider_without_further_code() -> None:
    assert MoreOptions(reasoning_effort="high").asked_of_provider() == ["reasoningEffort"]
    assert MoreOptions().asked_of_provider() == []


def test_all_options_but_runyards_own_are_asked_of_the_provider() -> None:
    options = RunOptions(
        model="m",
        mode="ask",
        resume=False,
        require_human_loop=True,
        tools=Tools(allow=["read"]),
        cwd="src",
        profile="p",
        sandbox="s",
        approval="a",
        provider_options={},
    )
    asked = ["model", "mode", "cwd", "profile", "sandbox", "approval", "providerOptions", "tools.allow"]
    assert options.asked_of_provider() == asked


def test_a_client_cannot_set_what_only_an_app_may() -> None:
    options: list[Json] = [{"trustWorkspace": True}, {"mcpServers": {}}, {"instructions": "x"}]
    for option in options:
        with pytest.raises(ValidationError):
            RunOptions.model_validate(option)
        assert without_those_of_apps({**option, "mode": "ask"}) == {"mode": "ask"}


def test_an_apps_servers_and_instructions_are_asked_of_the_provider_and_its_trust_is_not() -> None:
    options = AppOptions.model_validate(
        {"trustWorkspace": True, "mcpServers": {"m": {"command": "x"}}, "instructions": "Be brief."}
    )
    assert options.asked_of_provider() == ["mcpServers", "instructions"]
    assert AppOptions().asked_of_provider() == []


@pytest.mark.parametrize(
    "server",
    [
        {},
        {"command": "x", "url": "http://y"},
        {"url": "file:///etc/passwd"},
        {"url": "http://y", "env": {"A": "b"}},
        {"command": "x", "headers": {"A": "b"}},
        {"command": "x", "env": {"A": {"secret": "No Name"}}},
        {"command": "x", "env": {"A=B": "c"}},
    ],
)
def test_a_server_is_a_program_or_an_address(server: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AppOptions.model_validate({"mcpServers": {"m": server}})
