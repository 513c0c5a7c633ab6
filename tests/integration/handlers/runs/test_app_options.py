"""What only an app may set reaches its runs as the app has it now, and a rule makes a run ask in every mode."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from handlers.access.permissions import Actor
from handlers.apps.apps import AppSettings, app_named, set_app
from handlers.human_loop.approval_rules import add_rule, some_rule_restricts
from handlers.runs.start import StartedRun
from handlers.sessions.overview import overview_of
from schema.approval_rules import NewRule
from schema.errors import CapabilityMissing, Invalid
from schema.options import RunOptions
from schema.sql import Conn

StartOne = Callable[..., StartedRun]


def trust(conn: Conn, *, is_trusted: bool) -> None:
    set_app(conn, "default", settings=AppSettings(options={"trustWorkspace": is_trusted}))


def test_an_apps_trust_reaches_its_runs_and_shows_in_the_session(conn: Conn, actor: Actor, start: StartOne) -> None:
    plain = start(options=RunOptions(mode="ask")).run
    assert not plain.options.get("trustWorkspace")
    assert overview_of(conn, actor, plain.session_id).trust_workspace is False

    trust(conn, is_trusted=True)

    assert start(options=RunOptions(mode="ask")).run.options["trustWorkspace"] is True
    assert overview_of(conn, actor, plain.session_id).trust_workspace is True


def test_servers_of_an_app_need_a_provider_that_takes_them(conn: Conn, start: StartOne) -> None:
    set_app(conn, "default", settings=AppSettings(options={"mcpServers": {"m": {"command": "x"}}}))

    with pytest.raises(CapabilityMissing) as missing:
        start()

    assert "mcpServers" in str(missing.value)


def test_options_that_no_app_can_have_are_refused(conn: Conn) -> None:
    with pytest.raises(Invalid, match="trustWorkspace"):
        set_app(conn, "default", settings=AppSettings(options={"trustWorkspace": "yes"}))

    assert app_named(conn, "default").version == 1


@pytest.mark.parametrize(("effect", "restricts"), [("allow", False), ("ask", True), ("deny", True)])
def test_a_rule_that_denies_or_asks_restricts_the_run(
    effect: str, *, restricts: bool, conn: Conn, actor: Actor, start: StartOne
) -> None:
    run = start().run
    assert some_rule_restricts(conn, run) is False

    add_rule(conn, actor, NewRule.model_validate({"effect": effect, "userId": "me", "commandPattern": "git push*"}))

    assert some_rule_restricts(conn, run) is restricts
