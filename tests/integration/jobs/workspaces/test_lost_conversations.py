"""A run learns the session's earlier runs when its agent may have lost the files of its conversation."""

from __future__ import annotations

import pytest

from jobs.context import TaskContext
from jobs.runs.execute import execute_run
from schema.wire import Json
from tests.integration.jobs.stand_in import StandIn
from tests.integration.jobs.workspaces.conftest import Session
from tests.integration.jobs.workspaces.saver import Saver, contents
from tests.integration.jobs.workspaces.test_saving import save_all

LEFT_OUT = {"root": "agent", "path": ".claude/projects/1.jsonl", "reason": "secret_left_out"}
IN_WORKSPACE = {"root": "workspace", "path": ".env", "reason": "holds_secret"}


def start_body(context: TaskContext, session: Session, executor: StandIn) -> Json:
    """What the executor is told with another run of the session."""
    run = session.start("And now?", session_id=session.id).run
    assert execute_run(context, run.id) == "started"
    [body] = [seen.body for seen in executor.seen if seen.path == "/runs" and seen.body["runId"] == str(run.id)]
    return body


def work_and_save(context: TaskContext, session: Session, saver: Saver, *skipped: Json) -> None:
    saver.files = contents("abc")
    saver.tamper = lambda receipt: {**receipt, "skipped": list(skipped), "skippedTotal": len(skipped)}
    run = session.begin_run()
    session.say(run, "message.delta", messageId="m", role="assistant", text="The port is 8080.")
    session.end_run(run)
    assert save_all(context, session) == ["saved"]


def test_a_run_is_told_all_earlier_runs_for_when_its_conversation_was_left_out(
    context: TaskContext, session: Session, saver: Saver, executor: StandIn
) -> None:
    work_and_save(context, session, saver, LEFT_OUT)

    body = start_body(context, session, executor)

    assert body["resume"]["agentSessionId"] == "conversation-1"
    assert body.get("handover") is None
    assert body["handoverIfLost"]["providers"] == ["demo"]
    assert "The port is 8080." in body["handoverIfLost"]["text"]


@pytest.mark.parametrize("skipped", [[], [IN_WORKSPACE]])
def test_a_run_is_told_nothing_more_when_all_of_the_home_is_saved(
    context: TaskContext, session: Session, saver: Saver, executor: StandIn, skipped: list[Json]
) -> None:
    work_and_save(context, session, saver, *skipped)

    body = start_body(context, session, executor)

    assert body["resume"]["agentSessionId"] == "conversation-1"
    assert body.get("handoverIfLost") is None
