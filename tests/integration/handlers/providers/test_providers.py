"""What a provider may be counted on for: declared, said by its agent, and proved, each for its version."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from handlers.access.permissions import Actor
from handlers.human_loop.pending import pending
from handlers.human_loop.reply import HumanReply, reply
from handlers.providers.registry import announce_providers, list_providers, provider_named
from handlers.runs.bind import Bind, bind_run
from schema.errors import CapabilityMissing, Invalid
from schema.executor_api import Proved, ProviderDeclared
from schema.options import RunOptions
from schema.sql import Conn
from schema.wire import Json
from tests.integration.handlers.conftest import (
    STOP,
    TRACEPARENT,
    StartOne,
    call_back,
    claim,
    event,
    finished,
    log_of,
)

pytestmark = pytest.mark.both_postgres

TRIED_AT = datetime(2026, 11, 23, tzinfo=UTC)


def announced(
    conn: Conn,
    *,
    version: str | None = "1.0",
    proved: dict[str, bool] | None = None,
    capabilities: Sequence[str] = ("resume", "humanLoop"),
) -> None:
    proof = None if proved is None else Proved(at=TRIED_AT, capabilities=proved)
    demo = ProviderDeclared(
        name="demo",
        title="Demo",
        ready=True,
        version=version,
        options=["model", "mode"],
        capabilities=dict.fromkeys(capabilities, True),
        proved=proof,
    )
    with conn.transaction():
        announce_providers(conn, [demo])


def started_by(version: str | None, *, resume: bool) -> Json:
    agent = {"name": "demo", "version": version, "says": {"resume": resume}}
    return {"provider": "demo", "agentSessionId": "conversation-1", "agent": agent}


def run_once(conn: Conn, start: StartOne, said: Json, **more: object) -> list[str]:
    """Run it to its end with this start; the codes of its warnings."""
    run = start(**more).run
    taken = claim(conn, run.id)
    assert taken is not None
    call_back(conn, taken.run, event(1, "run.started", said), finished(2))
    return [str(one.data["code"]) for one in log_of(conn, run.id) if one.type == "run.warning"]


def test_the_probe_of_the_announced_version_counts(conn: Conn, start: StartOne) -> None:
    announced(conn, version="1.0", proved={"humanLoop": False})

    run = start(options=RunOptions(require_human_loop=True)).run

    assert (run.status, run.reason_code) == ("blocked", "capability_missing")
    demo = provider_named(conn, "demo")
    assert (demo.version, demo.proved) == ("1.0", Proved(at=TRIED_AT, capabilities={"humanLoop": False}))
    assert demo.effective == {"resume": True, "humanLoop": False}


def test_a_probe_of_another_version_does_not_count(conn: Conn, start: StartOne) -> None:
    announced(conn, version="1.0", proved={"humanLoop": False})
    announced(conn, version="1.1")

    assert start(options=RunOptions(require_human_loop=True)).run.status == "queued"
    assert provider_named(conn, "demo").proved is None


def test_a_proof_that_is_withdrawn_does_not_count(conn: Conn, start: StartOne) -> None:
    announced(conn, proved={"humanLoop": False})
    announced(conn)

    assert start(options=RunOptions(require_human_loop=True)).run.status == "queued"


def test_an_option_that_the_probe_disproved_is_refused(conn: Conn, start: StartOne) -> None:
    announced(conn, proved={"model": False, "mode": True})

    with pytest.raises(CapabilityMissing) as refused:
        start(options=RunOptions(model="large"))

    assert refused.value.members["capability"] == "model"
    assert start(options=RunOptions(mode="ask")).run.status == "queued"


@pytest.mark.parametrize("cwd", ["..", "../other", "a/../../b", "/etc"])
def test_a_working_folder_outside_is_refused_at_the_start(conn: Conn, start: StartOne, cwd: str) -> None:
    with conn.transaction():
        announce_providers(conn, [ProviderDeclared(name="demo", title="Demo", ready=True, options=["cwd"])])

    with pytest.raises(Invalid) as refused:
        start(options=RunOptions(cwd=cwd))

    assert refused.value.problem_code == "path_outside_workspace"
    assert start(options=RunOptions(cwd="src/../lib")).run.status == "queued"


def test_a_provider_that_is_not_ready_is_warned_of_at_the_start(conn: Conn, start: StartOne) -> None:
    reason = "No login is configured: set one of DEMO_KEY (see providers.toml)."
    with conn.transaction():
        announce_providers(conn, [ProviderDeclared(name="demo", title="Demo", ready=False, reason=reason)])

    [warning] = [found for found in start().run.warnings if found["code"] == "provider_not_ready"]

    assert warning["message"] == f"Demo is not ready, so the run may fail. {reason}"


def test_an_agent_that_cannot_resume_is_believed_and_the_next_run_is_warned(conn: Conn, start: StartOne) -> None:
    announced(conn)

    first = start()
    taken = claim(conn, first.run.id)
    assert taken is not None
    call_back(conn, taken.run, event(1, "run.started", started_by("1.0", resume=False)), finished(2))
    warned = run_once(conn, start, started_by("1.0", resume=False), session_id=first.run.session_id)

    assert first.run.warnings == []
    assert warned == ["resume_unsupported"]
    assert provider_named(conn, "demo").said == {"resume": False}


def test_a_run_that_was_told_of_a_new_conversation_gets_one(conn: Conn, start: StartOne) -> None:
    announced(conn)
    first = start().run
    taken = claim(conn, first.id)
    assert taken is not None
    call_back(conn, taken.run, event(1, "run.started", started_by("1.0", resume=True)), finished(2))
    announced(conn, proved={"resume": False})
    told = start(session_id=first.session_id).run
    announced(conn)

    again = claim(conn, told.id)

    assert again is not None
    assert [one["code"] for one in told.warnings] == ["resume_unsupported"]
    assert again.resume is None


def test_without_a_declared_version_the_one_that_ran_last_counts(conn: Conn, start: StartOne) -> None:
    announced(conn, version=None)

    run_once(conn, start, started_by("0.9", resume=True))
    run_once(conn, start, started_by(None, resume=False))

    demo = provider_named(conn, "demo")
    assert (demo.version, demo.effective["resume"]) == ("unknown", False)


def test_a_run_that_something_else_drives_says_nothing_of_ours(conn: Conn, actor: Actor) -> None:
    announced(conn)
    bind = Bind(run_id=uuid4(), session_id=None, provider="demo", prompt="drive", title=None, traceparent=TRACEPARENT)
    with conn.transaction():
        bound = bind_run(conn, actor, bind, secret=b"s" * 32, lease_seconds=60)

    call_back(conn, bound.run, event(1, "run.started", started_by("1.0", resume=False)))

    assert [one.said for one in list_providers(conn)] == [{}]


@pytest.mark.parametrize(
    "more, missing",
    [
        ({"decision": "allow", "arguments": {"path": "x"}}, "arguments"),
        ({"decision": "answer", "answers": {"colour": "blue"}}, "questions"),
        ({"decision": "deny", "reason": "not today"}, "denyReason"),
    ],
)
def test_what_the_agent_has_no_ear_for_is_refused_and_the_request_stays_open(
    conn: Conn, actor: Actor, start: StartOne, more: dict[str, Any], missing: str
) -> None:
    announced(conn, proved={"questions": False, "denyReason": False}, capabilities=("questions", "denyReason"))
    taken = claim(conn, start().run.id)
    assert taken is not None
    request_id = uuid4()
    asked = {"requestId": str(request_id), "kind": "permission", "title": "Write?", "fingerprint": "f", "options": []}
    call_back(
        conn,
        taken.run,
        event(1, "run.started", started_by("1.0", resume=True)),
        event(2, "human_loop.requested", asked),
    )

    with pytest.raises(CapabilityMissing) as refused, conn.transaction():
        reply(conn, actor, HumanReply(request_id=request_id, **more), stop_policy=STOP)

    assert refused.value.members["capability"] == missing
    assert [one.status for one in pending(conn, actor, session_id=None)] == ["open"]
