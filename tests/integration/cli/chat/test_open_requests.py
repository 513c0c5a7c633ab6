"""A request is neither answered by type-ahead nor lost when the API is away."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg
import pytest
from rich.console import Console

from cli.chat import conversation
from cli.chat.client import Api, ChatError, ChatPrompt, Reply, Unreachable, refusal
from cli.chat.conversation import ChatSession
from cli.chat.screen import Screen
from schema.wire import Json
from tests.integration.cli.conditions import wait_for
from tests.integration.cli.terminal import CTRL_C, Terminal
from tests.integration.functions.conftest import TOKEN, Driver, Served, provided, serve, served
from tests.proxy import Proxy

__all__ = ["provided", "serve", "served"]
MENU = "cancel the run: "
OPTIONS = [
    {"optionId": "yes", "name": "Allow", "kind": "allow_once"},
    {"optionId": "no", "name": "Reject", "kind": "reject_once"},
]
Chat = Callable[[Driver], Terminal]


@pytest.fixture
def proxy(served: Served) -> Iterator[Proxy]:
    """The chat's way to the API."""
    proxy = Proxy(("127.0.0.1", served.port))
    yield proxy
    proxy.close()


@pytest.fixture
def chat(proxy: Proxy) -> Iterator[Chat]:
    opened: list[Terminal] = []

    def open_chat(driver: Driver) -> Terminal:
        command = [sys.executable, "-m", "cli", "chat", "--session", str(driver.session_id)]
        opened.append(Terminal(command, env={**os.environ, "RUNYARD_URL": proxy.url, "RUNYARD_TOKEN": TOKEN}))
        return opened[-1]

    yield open_chat
    for terminal in opened:
        terminal.close()


def ask(driver: Driver, title: str) -> UUID:
    request_id = uuid4()
    asked: Json = {"requestId": str(request_id), "kind": "permission", "title": title, "fingerprint": title}
    assert driver.report(driver.event("human_loop.requested", **asked, options=OPTIONS))[0] == 200
    return request_id


def open_request(chat: Chat, driver: Driver) -> tuple[UUID, Terminal]:
    """Ask for a permission and return its id and the chat that shows it."""
    request_id = ask(driver, "Write a.txt")
    terminal = chat(driver)
    terminal.wait_for(MENU)
    return request_id, terminal


def lose_connection(terminal: Terminal, proxy: Proxy) -> None:
    """Cut the chat's connection and refuse others until the test allows them. The chat asks again meanwhile."""
    proxy.refusing = True
    proxy.cut()
    terminal.wait_for("The connection is lost")
    terminal.wait_for(MENU)


def decision(conn: psycopg.Connection, request_id: UUID) -> str | None:
    """The person's decision; None while the request is open."""
    row = conn.execute("SELECT answer->>'decision' FROM human_requests WHERE id = %s", [request_id]).fetchone()
    assert row is not None
    return row[0] and str(row[0])


def test_what_is_typed_before_a_request_is_shown_answers_nothing(
    chat: Chat, served: Served, conn: psycopg.Connection
) -> None:
    driver = served.bind()
    driver.report(driver.delta("at work"))
    terminal = chat(driver)
    terminal.wait_for("at work")
    terminal.type("yes\ny\n")
    terminal.wait_for("yes\r\ny\r\n")
    first = ask(driver, "Write a.txt")
    terminal.wait_for(MENU)
    terminal.type("n\n")
    assert wait_for(lambda: decision(conn, first), seconds=60) == "deny"


def test_an_answer_that_meets_a_restart_arrives_afterwards(
    chat: Chat, served: Served, proxy: Proxy, conn: psycopg.Connection
) -> None:
    driver = served.bind()
    request_id, terminal = open_request(chat, driver)
    lose_connection(terminal, proxy)
    terminal.type("y\n")
    terminal.wait_for("The answer is kept and sent again.")
    assert decision(conn, request_id) is None
    proxy.refusing = False
    assert wait_for(lambda: decision(conn, request_id), seconds=60) == "allow"
    driver.finish()
    terminal.wait_for("succeeded")


def test_a_run_that_an_error_left_is_shown_again_before_the_next_prompt(
    chat: Chat, served: Served, proxy: Proxy, conn: psycopg.Connection
) -> None:
    driver = served.bind()
    request_id, terminal = open_request(chat, driver)
    lose_connection(terminal, proxy)
    terminal.wait_until_it_waits()
    terminal.type(CTRL_C)
    terminal.wait_for("No server answers")
    terminal.wait_for("\n› ")
    proxy.refusing = False
    terminal.type("and on\n")
    terminal.wait_for("? Write a.txt")
    terminal.wait_for(MENU)
    terminal.type("y\n")
    assert wait_for(lambda: decision(conn, request_id), seconds=60) == "allow"
    driver.finish()
    terminal.wait_for("succeeded")


class AwayAtFirst(Api):
    """The API, whose first replies meet these errors."""

    def __init__(self, url: str, errors: list[ChatError]) -> None:
        super().__init__(url, TOKEN)
        self.errors = errors

    def reply(self, request_id: UUID, reply: Reply) -> None:
        if self.errors:
            raise self.errors.pop()
        super().reply(request_id, reply)


def test_yes_sends_its_answer_again_instead_of_stopping_the_run(
    served: Served, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "SEND_AGAIN_SECONDS", 0.01)
    driver = served.bind()
    request_id = ask(driver, "Write a.txt")
    api = AwayAtFirst(served.url, [refusal(503, b""), refusal(429, b"{}"), Unreachable("No server answers.")])
    shown = io.StringIO()
    session = ChatSession(
        api=api,
        screen=Screen(Console(file=shown)),
        prompt=ChatPrompt("", driver.session_id),
        on_terminal=False,
        allow=True,
    )

    def finish_when_decided() -> str | None:
        try:
            return wait_for(lambda: decision(conn, request_id), seconds=60)
        finally:
            driver.finish()

    with ThreadPoolExecutor(1) as driving:
        decided = driving.submit(finish_when_decided)
        session.catch_up()
    assert decided.result() == "allow"
    assert api.errors == []
    assert "stopping the run" not in shown.getvalue()
    assert "succeeded" in shown.getvalue()
