"""A run's options: the field alone says what a provider must support."""

from __future__ import annotations

from schema.options import RunOptions, Tools
from schema.wire import Text


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
