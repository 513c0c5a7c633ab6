"""Whatever an agent writes: its turn ends with a code and a sentence, and all that it said can be stored."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from executor.agents.provider import Provider
from executor.runs.coalescing import Draft
from executor.runs.sanitize import storable
from schema.wire import Json
from tests.integration.executor.agents.turns import AGENTS_DIR, SessionFolders, Took, answering
from tests.integration.functions.conftest import Api
from tests.thoroughness import by_chance, chances, times

pytestmark = pytest.mark.timeout(times(180, 3600))
AGENT = Path(__file__).with_name("scripted_bytes.py")
METHODS = [
    *(
        "initialize",
        "session/new",
        "session/prompt",
        "session/update",
        "session/request_permission",
        "session/elicitation",
    ),
    *("fs/read_text_file", "terminal/create", "session/cancel", "$/cancel_request", "_x", "", None, 7),
]
UPDATES = [
    *("agent_message_chunk", "agent_thought_chunk", "user_message_chunk", "tool_call", "tool_call_update", "plan"),
    *("usage_update", "current_mode_update", "available_commands_update", "session_info_update", "nonsense", None),
]
KEYS = [
    *("sessionUpdate", "content", "text", "type", "toolCallId", "title", "status", "rawInput", "rawOutput", "kind"),
    *("entries", "priority", "used", "size", "cost", "amount", "currency", "options", "optionId", "name", "toolCall"),
    *("locations", "path", "line", "sessionId", "stopReason", "protocolVersion", "agentCapabilities", "usage"),
]
WORDS = [
    "s1",
    "text",
    "completed",
    "pending",
    "end_turn",
    "allow_once",
    "t1",
    "\0",
    "\ud800",
    "x" * 2000,
    "../../x",
    "",
]
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=10,
)


def updates(update: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.builds(
        lambda kind, said: {
            "jsonrpc": "2.0",
            "method": "session/update",
            "params": {
                "sessionId": "s1",
                "update": {**said, "sessionUpdate": kind} if isinstance(said, dict) else said,
            },
        },
        st.sampled_from(UPDATES),
        update,
    )


messages = st.one_of(
    updates(st.dictionaries(st.sampled_from(KEYS), values, max_size=8)),
    updates(values),
    st.builds(
        lambda m, p, i: {"jsonrpc": "2.0", "method": m, "params": p, "id": i}, st.sampled_from(METHODS), values, values
    ),
    st.builds(lambda i, r: {"jsonrpc": "2.0", "id": i, "result": r}, st.integers(0, 5), values),
    st.builds(lambda i, e: {"jsonrpc": "2.0", "id": i, "error": e}, st.integers(0, 5), values),
)
lines = st.one_of(
    messages.map(lambda message: json.dumps(message).encode()),
    st.binary(max_size=200),
    st.sampled_from(
        [b"[" * 100_000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b'"' + b"y" * 300_000, b"\xff" * 1000, b"\0", b""]
    ),
)


@pytest.fixture
def folders(tmp_path: Path) -> SessionFolders:
    return SessionFolders(tmp_path / "session")


def provider(script: Path, *, when: str) -> Provider:
    return Provider(
        name="any-bytes",
        title="Any bytes",
        command=sys.executable,
        args=("-S", "-E", str(AGENT), when, str(script)),
        agents_dir=AGENTS_DIR,
        start_seconds=20,
    )


def assert_ended_well(took: Took, api: Api) -> None:
    """With a code and a sentence unless it succeeded, nothing left running, and every event taken by the API."""
    assert took.finished.status in ("succeeded", "failed", "cancelled")
    if took.finished.status != "succeeded":
        assert took.finished.reason is not None
        assert took.finished.reason.code
        assert " " in took.finished.reason.message
    assert took.leftovers == []
    driver = api.bind()
    for type_, data in [*took.events, ("run.finished", took.finished)]:
        kind, text = storable(Draft(type_, data))
        status, answer = driver.report(driver.event(kind, **json.loads(text)))
        assert status == 200, (kind, text[:500], answer)


@pytest.mark.parametrize("when", ["before", "within"])
def test_a_turn_with_any_output_ends(api: Api, folders: SessionFolders, tmp_path: Path, when: str) -> None:
    script = tmp_path / "said"
    agent = provider(script, when=when)

    @by_chance
    @chances(20, 3000)
    @given(said=st.lists(lines, min_size=1, max_size=6))
    @example([b"x" * 3_000_000])
    def take_a_turn(said: list[bytes]) -> None:
        script.write_bytes(b"\n".join(said) + b"\n")
        took = folders.take(agent, "go", decide=answering("deny"), timeout_seconds=20, grace_seconds=0.2, resume=None)
        assert_ended_well(took, api)
        if when == "within":
            assert took.events[0][0] == "run.started"

    take_a_turn()


def test_a_session_with_too_long_a_name_is_a_protocol_error(folders: SessionFolders, tmp_path: Path) -> None:
    script = tmp_path / "said"
    answers = [
        {"jsonrpc": "2.0", "id": 0, "result": {"protocolVersion": 1, "agentCapabilities": {}}},
        {"jsonrpc": "2.0", "id": 1, "result": {"sessionId": f"{uuid4()}" * 30}},
    ]
    script.write_text("\n".join(json.dumps(answer) for answer in answers) + "\n")
    took = folders.take(provider(script, when="answers"), "go")
    assert (took.finished.status, took.code) == ("failed", "protocol_error")
    assert took.events == []
