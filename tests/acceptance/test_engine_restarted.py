"""The container engine goes away in a run and comes back with all containers dead."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.stack import running_stack
from tests.acceptance.talk import Talk, end, texts
from tests.container_engine import IMAGE, EngineToStop, deployment

pytestmark = [pytest.mark.docker, pytest.mark.stack, pytest.mark.timeout(600)]  # others may use the engine for minutes


def test_a_run_goes_on_after_the_engine_was_stopped_and_started(engine_to_stop: EngineToStop, tmp_path: Path) -> None:
    with deployment() as name:
        settings = {"WORKER_HOST": "docker", "WORKER_DEPLOYMENT": name, "EXECUTOR_IMAGE": IMAGE}
        with (
            running_stack(tmp_path, model_url="http://127.0.0.1:9", settings=settings) as stack,
            Talk(stack.url, stack.token) as talk,
        ):
            first = talk.say("write kept.txt: a heron", provider="demo", options={"mode": "auto"})
            session_id = first[0]["sessionId"]
            started = talk.start("sleep 100", provider="demo", sessionId=session_id, options={"mode": "auto"})
            talk.watch(started, until="run.started")
            engine_to_stop.stop()
            engine_to_stop.start()
            talk.watch(started, until="run.retrying")
            talk.stop(started["runId"])
            assert end(talk.watch(started))["status"] == "cancelled"
            again = talk.say("read kept.txt", provider="demo", sessionId=session_id, options={"mode": "auto"})
            assert "a heron" in texts(again)
            found = talk.http.get(f"/api/session-workers/{session_id}").json()
            assert (found["status"], found["epoch"]) == ("active", 1)
