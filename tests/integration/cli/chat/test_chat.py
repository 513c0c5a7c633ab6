"""The terminal chat against a whole Runyard with the demo agent: typed to as a person would, and without a person."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from uuid import UUID

import psutil
import pytest

from cli.chat.client import Api, Reply, read_token
from cli.local.data_dir import DataDir
from tests.integration.cli.stack import Stack
from tests.integration.cli.terminal import CTRL_C, CTRL_D, Terminal

pytestmark = pytest.mark.stack
READY_FOR_PROMPT = "› "
Chat = Callable[..., Terminal]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(DataDir(tmp_path_factory.mktemp("chat") / "data"))
    stack.wait_until_ready()
    yield stack
    stack.stop()
    shutil.rmtree(stack.data_dir.sockets, ignore_errors=True)


@pytest.fixture
def chat(stack: Stack) -> Iterator[Chat]:
    opened: list[Terminal] = []

    def open_chat(*arguments: str) -> Terminal:
        opened.append(Terminal([sys.executable, "-m", "cli", "chat", *arguments], env=stack.environ))
        opened[-1].wait_for(READY_FOR_PROMPT if "--session" not in arguments else "Type a prompt (")
        return opened[-1]

    yield open_chat
    for terminal in opened:
        terminal.close()


def leave(terminal: Terminal) -> str:
    """The session's id, which the chat tells when it is left."""
    terminal.wait_for(READY_FOR_PROMPT)
    terminal.type(CTRL_D)
    terminal.wait_for("Continue this session with: make chat SESSION=")
    assert terminal.wait_for_end() == 0
    found = re.search(r"SESSION=([0-9a-f-]{36})", terminal.shown)
    assert found is not None
    return found[1]


def test_permission_is_asked_and_allowed(chat: Chat, stack: Stack) -> None:
    terminal = chat("--provider", "demo", "--mode", "ask")
    terminal.type("write a.txt: some words\n")
    terminal.wait_for("? ")
    terminal.wait_for("[y] allow")
    terminal.type("y\n")
    terminal.wait_for("succeeded")
    session = leave(terminal)
    assert (stack.data_dir.workers / session / "workspace" / "a.txt").read_text().strip() == "some words"


def test_denied_permission_writes_nothing_and_the_turn_goes_on(chat: Chat, stack: Stack) -> None:
    terminal = chat("--provider", "demo", "--mode", "ask")
    terminal.type("write a.txt: some words\n")
    terminal.wait_for("[y] allow")
    terminal.type("n\n")
    terminal.wait_for("succeeded")
    assert not (stack.data_dir.workers / leave(terminal) / "workspace" / "a.txt").exists()


def test_question_is_answered_in_its_form(chat: Chat) -> None:
    terminal = chat("--provider", "demo", "--mode", "auto")
    terminal.type("ask: What is your name?\n")
    terminal.wait_for("What is your name? (required): ")
    terminal.type("Ada\n")
    terminal.wait_for("Ada")
    terminal.wait_for("succeeded")
    leave(terminal)


def test_ctrl_c_stops_the_run_and_the_chat_goes_on(chat: Chat) -> None:
    terminal = chat("--provider", "demo", "--mode", "auto")
    terminal.type("sleep 300\n")
    terminal.wait_for("runyard-demo")
    terminal.type(CTRL_C)
    terminal.wait_for("stopping the run")
    terminal.wait_for("cancelled")
    terminal.type("say: still here\n")
    terminal.wait_for("succeeded")
    leave(terminal)


def test_ctrl_c_at_a_permission_stops_the_run(chat: Chat) -> None:
    terminal = chat("--provider", "demo", "--mode", "ask")
    terminal.type("write a.txt: some words\n")
    terminal.wait_for("cancel the run: ")
    terminal.wait_until_it_waits()
    terminal.type("/help\n")
    terminal.wait_for("the question stays open and the run waits")
    terminal.wait_for("cancel the run: ")
    terminal.wait_until_it_waits()
    terminal.type(CTRL_C)
    assert "answered by" not in terminal.wait_for("cancelled")
    leave(terminal)


def test_a_permission_that_is_answered_elsewhere_is_asked_no_longer(chat: Chat, stack: Stack) -> None:
    terminal = chat("--provider", "demo", "--mode", "ask")
    terminal.type("write a.txt: some words\n")
    terminal.wait_for("cancel the run: ")
    api = Api(stack.url, read_token(stack.data_dir.token))
    [request] = api.send("GET", "/api/human-loop/pending")["items"]
    api.reply(UUID(request["requestId"]), Reply("allow"))
    terminal.wait_for("answered by you: allow")
    terminal.wait_for("succeeded")
    terminal.type("say: and on\n")
    terminal.wait_for("succeeded")
    leave(terminal)


def test_ctrl_d_at_a_permission_leaves_the_question_open(chat: Chat) -> None:
    first = chat("--provider", "demo", "--mode", "ask")
    first.type("write a.txt: one\n")
    first.wait_for("cancel the run: ")
    first.wait_until_it_waits()
    first.type(CTRL_D)
    first.wait_for("Continue this session with: make chat SESSION=")
    assert first.wait_for_end() == 0
    second = chat("--session", first.shown.rsplit("SESSION=", 1)[1].split()[0])
    second.wait_for("[y] allow")
    second.type("y\n")
    second.wait_for("succeeded")
    leave(second)


def test_coming_back_shows_the_live_run_and_asks_what_is_still_open(chat: Chat, stack: Stack) -> None:
    first = chat("--provider", "demo", "--mode", "ask")
    first.type("say: before\n")
    first.wait_for("succeeded")
    first.type("write a.txt: one\n")
    first.wait_for("[y] allow")
    first.close()
    found = sorted(stack.data_dir.workers.iterdir(), key=lambda folder: folder.stat().st_mtime)[-1].name
    second = chat("--session", found)
    second.wait_for("write a.txt: one")
    second.wait_for("[y] allow")
    second.type("y\n")
    second.wait_for("succeeded")
    assert leave(second) == found


def test_line_that_ends_with_a_backslash_goes_on(chat: Chat) -> None:
    terminal = chat("--provider", "demo", "--mode", "auto")
    terminal.type("say: one\\\nsay: two\n")
    terminal.wait_for("one")
    terminal.wait_for("two")
    terminal.wait_for("succeeded")
    leave(terminal)


def test_second_prompt_goes_on_with_the_conversation(chat: Chat) -> None:
    terminal = chat("--provider", "demo", "--mode", "auto")
    terminal.type("say: one\n")
    terminal.wait_for("succeeded")
    terminal.type("say: two\n")
    terminal.wait_for("resuming the conversation")
    terminal.wait_for("succeeded")
    leave(terminal)


def test_without_a_person_nothing_is_denied_and_the_question_stays_open(stack: Stack) -> None:
    waiting = stack.chat("--provider", "demo", "--mode", "ask", "write a.txt: x")
    assert "YES=1 (--yes) allows what an agent asks" in waiting.stdout
    assert waiting.returncode == 3
    found = re.search(r"python -m cli reply ([0-9a-f-]{36}) allow", waiting.stdout)
    assert found is not None
    api = Api(stack.url, read_token(stack.data_dir.token))
    open_requests = api.send("GET", "/api/human-loop/pending")["items"]
    assert found[1] in [request["requestId"] for request in open_requests]
    api.reply(UUID(found[1]), Reply("allow"))
    allowed = stack.chat("--provider", "demo", "--mode", "ask", "--yes", "write a.txt: x")
    assert "→ allow" in allowed.stdout
    assert "✓" in allowed.stdout


def test_coming_back_shows_what_was_said_and_how_to_come_back(chat: Chat) -> None:
    first = chat("--provider", "demo", "--mode", "auto")
    first.type("say: remember this\n")
    first.wait_for("succeeded")
    session = leave(first)
    second = chat("--session", session)
    shown = second.wait_for("succeeded")
    assert f"session {session}  come back with: make chat SESSION={session}" in shown
    assert "› say: remember this" in shown
    assert shown.split("› say: remember this", 1)[1].startswith("\r\nremember this")
    leave(second)


def test_the_chats_own_commands_never_reach_the_agent(chat: Chat) -> None:
    terminal = chat("--provider", "demo", "--mode", "auto")
    terminal.type("/help\n")
    terminal.wait_for("/leave")
    terminal.type("/nonesuch\n")
    terminal.wait_for("There is no command /nonesuch")
    terminal.wait_for(READY_FOR_PROMPT)
    terminal.type("/leave\n")
    assert terminal.wait_for_end() == 0
    assert "SESSION=" not in terminal.shown


def test_an_open_question_is_asked_again_after_the_server_was_away(chat: Chat, stack: Stack) -> None:
    terminal = chat("--provider", "demo", "--mode", "ask")
    terminal.type("write a.txt: some words\n")
    terminal.wait_for("cancel the run: ")
    terminal.wait_until_it_waits()
    psutil.Process(stack.pid("api")).kill()
    terminal.wait_for("The connection is lost")
    terminal.wait_for("Connected again.", seconds=60)
    terminal.wait_for("a.txt")
    terminal.wait_for("cancel the run: ")
    terminal.type("y\n")
    terminal.wait_for("succeeded", seconds=60)
    leave(terminal)


def test_status_tells_that_the_run_failed(stack: Stack) -> None:
    failed = stack.chat("--provider", "demo", "--mode", "auto", "crash")
    assert failed.returncode == 1
    assert "failed:" in failed.stdout


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--provider", "nonesuch", "x"], "There is no provider named nonesuch"),
        (["--session", "00000000-0000-0000-0000-000000000001", "x"], "There is no such session"),
        ([" "], "The prompt is empty"),
        (["\udcff\udcfe"], "bytes that are not UTF-8"),
    ],
)
def test_what_is_refused_is_a_sentence(stack: Stack, arguments: list[str], said: str) -> None:
    refused = stack.chat(*arguments)
    assert said in refused.stdout
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr


def test_connection_that_is_lost_loses_and_repeats_nothing(chat: Chat, stack: Stack) -> None:
    terminal = chat("--provider", "demo", "--mode", "auto")
    terminal.type("flood 3000\n")
    terminal.wait_for("runyard-demo")
    psutil.Process(stack.pid("api")).kill()
    terminal.wait_for("succeeded", seconds=60)
    shown = terminal.shown
    leave(terminal)
    assert [int(number) for number in re.findall(r"\bword(\d+)", shown)] == list(range(3000))
