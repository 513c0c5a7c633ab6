"""A worker whose agent takes all it can get, and how its neighbour on the same machine slows down."""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import docker
from docker.errors import DockerException

from tests.acceptance.hostile import FLOOD, GREEDY, WRITING
from tests.acceptance.stack import running_stack
from tests.acceptance.talk import Talk
from tests.acceptance.waiting import wait_until
from tests.benchmarks.figures import in_turns, percentile
from tests.benchmarks.report import Line, Wanted, rated
from tests.container_engine import IMAGE, deployment, gateway_of

LIMITS = {"WORKER_CPUS": "0.5", "WORKER_MEMORY_MIB": "512", "WORKER_PROCESSES": "256", "WORKER_DISK_MIB": "1024"}
"""Of each of two workers on a machine of two processors: one is left for all else."""
HOSTILE = {
    "processors, memory, processes and events being burnt": GREEDY,
    "the disk being written": f"{WRITING}\n{FLOOD}",
}
STEPS = 300
STEADY = "run: date +%s.%N\nsleep 0.02\n" * STEPS
STAMP = re.compile(r"\b\d{10}\.\d{9}\b")
AUTO = {"mode": "auto"}


def neighbours() -> Iterator[Line]:
    try:
        docker.from_env(timeout=10).images.get(IMAGE)
    except DockerException:
        yield Line(
            "neighbours", "a neighbour of a hostile worker", "-", note=f"not measured: no engine has the image {IMAGE}"
        )
        return
    with deployment() as name, tempfile.TemporaryDirectory() as folder:
        settings = {"WORKER_HOST": "docker", "WORKER_DEPLOYMENT": name, "EXECUTOR_IMAGE": IMAGE, **LIMITS}
        model = f"http://{gateway_of(name)}:1"  # only the demo agent runs
        with (
            running_stack(Path(folder), model_url=model, settings=settings) as stack,
            Talk(stack.url, stack.token) as talk,
        ):
            neighbour, hostile = (talk.say("say: hello", provider="demo", options=AUTO)[0]["sessionId"] for _ in "ab")
            alone = partial(steps, talk, neighbour)
            for what, prompt in HOSTILE.items():
                rounds = in_turns(partial(beside, talk, hostile, prompt, alone), alone)
                yield rated(
                    "neighbours", f"a command's output beside {what}, p99", rounds, unit="s", wanted=Wanted("<=", 1.5)
                )


def beside(talk: Talk, hostile: str, prompt: str, measure: Callable[[], float]) -> float:
    """What it measures while the hostile agent is at work, which must not have ended by itself."""
    started = talk.start(prompt, provider="demo", sessionId=hostile, options=AUTO)
    talk.watch(started, until="message.delta")
    measured = measure()
    assert "finishedAt" not in talk.run(started["runId"])
    talk.stop(started["runId"])
    wait_until(lambda: "finishedAt" in talk.run(started["runId"]), seconds=60, what="the hostile run does not end")
    os.sync()  # what it has written does not hurt the next one
    return measured


def steps(talk: Talk, session_id: str) -> float:
    """p99 of the seconds from a command's output in the worker to a reader of the session."""
    started = talk.start(STEADY, provider="demo", sessionId=session_id, options=AUTO)
    seen: dict[str, float] = {}
    with talk.following(session_id, after=started["seq"]) as events:
        for event in events:
            now = time.time()
            for stamp in STAMP.findall(json.dumps(event["data"])):
                seen.setdefault(stamp, now - float(stamp))
            if event["type"] == "run.finished":
                break
    assert len(seen) == STEPS
    return percentile(list(seen.values()), 99)
