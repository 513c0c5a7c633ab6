"""Runyard with Docker workers, as `WORKER_HOST=docker make up` starts it: real containers and real agents."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.hostile import HOSTILE
from tests.acceptance.stack import Stack, running_stack
from tests.acceptance.talk import Json, Talk, end, of_type, outcome, texts
from tests.acceptance.waiting import wait_until
from tests.container_engine import IMAGE, deployment, gateway_of, kill
from tests.model_server.starter import ModelServer
from tests.proxy import Proxy

pytestmark = [pytest.mark.docker, pytest.mark.stack]

AUTO = {"mode": "auto"}
DISK_MIB = 150


@pytest.fixture(scope="module")
def deployed(docker_client: Any) -> Iterator[str]:  # noqa: ARG001  no stack without an engine
    with deployment() as name:
        yield name


@pytest.fixture(scope="module")
def docker_stack(
    deployed: str, scripted_model: ModelServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Its agents reach the scripted model at the gateway of their own network."""
    gateway = gateway_of(deployed)
    door = Proxy(("127.0.0.1", int(scripted_model.url.rpartition(":")[2])), host=gateway)
    settings = {"WORKER_HOST": "docker", "WORKER_DEPLOYMENT": deployed, "EXECUTOR_IMAGE": IMAGE}
    settings |= {"WORKER_DISK_MIB": str(DISK_MIB), "WORKER_MEMORY_MIB": "1024"}
    try:
        folder = tmp_path_factory.mktemp("docker")
        with running_stack(folder, model_url=f"http://{gateway}:{door.port}", settings=settings) as running:
            yield running
    finally:
        door.close()


@pytest.fixture
def inside(docker_stack: Stack) -> Iterator[Talk]:
    with Talk(docker_stack.url, docker_stack.token) as talking:
        yield talking
        talking.stop_what_lives()


def worker(talk: Talk, session_id: str) -> Json:
    found: Json = talk.http.get(f"/api/session-workers/{session_id}").raise_for_status().json()
    return found


def operate(talk: Talk, session_id: str, what: str) -> Json:
    answered = talk.http.post(f"/api/session-workers/{session_id}/{what}", json={}, timeout=90)
    assert answered.status_code == 200, answered.text
    done: Json = answered.json()
    return done


def put_to_rest(talk: Talk, session_id: str) -> None:
    """Saved and stopped, as the idle limit would."""
    done: Json = {}

    def is_stopped() -> bool:
        done.update(operate(talk, session_id, "cleanup/idle"))
        return bool(worker(talk, session_id)["status"] == "stopped")

    wait_until(is_stopped, seconds=60, what=lambda: f"not stopped: {done} {worker(talk, session_id)}")


def remove(talk: Talk, session_id: str) -> None:
    """As the long limit would."""
    done = operate(talk, session_id, "cleanup/stopped")
    assert worker(talk, session_id)["status"] == "absent", done


@pytest.mark.agents
@pytest.mark.parametrize("provider", ["codex", "claude-code"])
def test_an_agent_remembers_after_its_worker_was_stopped_and_after_it_was_removed(
    docker_client: Any, deployed: str, model: ModelServer, inside: Talk, provider: str
) -> None:
    model.add({"tool": "write", "path": "made.txt", "content": "by the agent\n"}, {"text": "I will remember the plum."})
    first = inside.say("Remember the word plum", provider=provider, options=AUTO)
    assert outcome(first) == ("succeeded", None)
    session_id = first[0]["sessionId"]
    put_to_rest(inside, session_id)
    assert containers(docker_client, deployed, session_id) == {f"{deployed}-{session_id}-1": "exited"}

    model.add({"text": "It was plum."})
    second = inside.say("Which word was it?", provider=provider, sessionId=session_id, options=AUTO)
    assert (outcome(second), remembers(model, second)) == (("succeeded", None), True)
    put_to_rest(inside, session_id)
    remove(inside, session_id)
    assert containers(docker_client, deployed, session_id) == {}
    assert docker_client.volumes.list(filters={"label": f"runyard.session={session_id}"}) == []

    model.add({"tool": "run", "command": "cat made.txt"}, {"text": "Still plum."})
    third = inside.say("And now?", provider=provider, sessionId=session_id, options=AUTO)
    assert (outcome(third), remembers(model, third)) == (("succeeded", None), True)
    assert "by the agent" in str(model.requests()[-1]["body"])
    assert worker(inside, session_id)["epoch"] == 2


def remembers(model: ModelServer, events: list[Json]) -> bool:
    resumed = of_type(events, "run.started")[0]["resumed"]
    return bool(resumed) and "Remember the word plum" in str(model.requests()[-1]["body"])


@pytest.mark.agents
def test_codex_makes_its_sandbox_in_the_container(model: ModelServer, inside: Talk) -> None:
    command = "echo free > /agent/outside.txt; echo inside > inside.txt; cat inside.txt; ls /agent/outside.txt"
    model.add({"tool": "run", "command": command}, {"text": "Tried."})
    options = {"mode": "ask", "sandbox": "workspace-write"}
    events = inside.say("Try your sandbox", provider="codex", options=options, answer="deny")
    assert outcome(events) == ("succeeded", None)
    seen = str(model.requests()[-1]["body"])
    assert "No permissions" not in seen
    assert "inside\\n" in seen or "inside\n" in seen, seen[-3000:]
    assert "Read-only file system" in seen or "Permission denied" in seen, seen[-3000:]


def test_a_worker_killed_in_a_run_goes_on_where_it_was(docker_client: Any, deployed: str, inside: Talk) -> None:
    first = inside.say("write kept.txt: a heron", provider="demo", options=AUTO)
    session_id = first[0]["sessionId"]
    started = inside.start("sleep 100", provider="demo", sessionId=session_id, options=AUTO)
    inside.watch(started, until="run.started")
    kill(docker_client, f"{deployed}-{session_id}-1")
    inside.watch(started, until="run.retrying")
    assert inside.stop(started["runId"]).status_code in {200, 202}  # it may still wait for its next attempt
    assert end(inside.watch(started))["status"] == "cancelled"
    again = inside.say("read kept.txt", provider="demo", sessionId=session_id, options=AUTO)
    assert "a heron" in texts(again)
    assert worker(inside, session_id)["epoch"] == 1


@pytest.mark.agents
def test_a_run_that_fills_the_disk_is_stopped_with_the_reason(model: ModelServer, inside: Talk) -> None:
    fill = f"for name in a b c; do head -c {DISK_MIB - 50}M /dev/zero > $name; done; sleep 60"
    model.add({"tool": "run", "command": fill}, {"text": "Never said."})
    events = inside.say("Fill it", provider="codex", options=AUTO)
    assert (end(events)["status"], end(events)["reason"]["code"]) == ("failed", "disk_limit")
    assert f"{DISK_MIB} MiB" in end(events)["reason"]["message"]
    session_id = events[0]["sessionId"]
    model.reset()
    model.add({"tool": "run", "command": "rm a b c; echo there is room"}, {"text": "Tidied."})
    assert outcome(inside.say("Tidy up", provider="codex", sessionId=session_id, options=AUTO)) == ("succeeded", None)
    assert "there is room" in str(model.requests()[-1]["body"])


@pytest.mark.agents
def test_nothing_that_an_agent_started_outlives_its_run(
    docker_client: Any, deployed: str, model: ModelServer, inside: Talk
) -> None:
    hide = "env -i setsid sh -c 'exec -a hidden sleep 1000' >/dev/null 2>&1 & sleep 0.2; echo hidden"
    model.add({"tool": "run", "command": hide}, {"text": "Hidden."})
    events = inside.say("Hide something", provider="codex", options=AUTO)
    assert outcome(events) == ("succeeded", None)
    told = docker_client.api.top(f"{deployed}-{events[0]['sessionId']}-1")["Processes"]
    assert [line for line in told if "1000" in line[-1]] == []


def test_beside_an_agent_that_takes_all_it_can_get_a_neighbour_loses_nothing(inside: Talk) -> None:
    """Processors, memory, processes, the disk, and a flood of words; how much slower it gets `make bench` says."""
    hostile = inside.start(HOSTILE, provider="demo", options=AUTO)
    inside.watch(hostile, until="message.delta")
    for words in (1000, 3000):
        events = inside.say(f"run: seq {words}\nflood {words}", provider="demo", options=AUTO)
        assert outcome(events) == ("succeeded", None)
        assert [event["seq"] for event in events] == sorted({event["seq"] for event in events})
        assert texts(events).split()[-words:] == [f"word{number}" for number in range(words)]
    assert "finishedAt" not in inside.run(hostile["runId"])
    assert inside.stop(hostile["runId"]).status_code in {200, 202}
    assert end(inside.watch(hostile))["status"] == "cancelled"


def test_the_workers_door_lets_nothing_in_but_callbacks(
    docker_client: Any, deployed: str, docker_stack: Stack, inside: Talk
) -> None:
    events = inside.say("say: hello", provider="demo", options=AUTO)
    here = f"http://{gateway_of(deployed)}:{docker_stack.url.rpartition(':')[2]}"
    code = (
        "import sys, httpx\n"
        "for path in ('/', '/ready', '/api/providers', '/sign-in'):\n"
        "    print(httpx.get(sys.argv[1] + path, headers={'authorization': 'Bearer ' + sys.argv[2]}).status_code)\n"
        "callbacks = sys.argv[1] + '/api/runs/' + sys.argv[3] + '/callbacks'\n"
        "print(httpx.post(callbacks, json={'epoch': 1, 'attempt': 1}).status_code)\n"
    )
    found = docker_client.containers.get(f"{deployed}-{events[0]['sessionId']}-1").exec_run(
        ["python", "-c", code, here, docker_stack.token, events[0]["runId"]], user="10001"
    )
    assert found.output.decode().split() == ["404", "404", "404", "404", "401"]


def containers(client: Any, deployed: str, session_id: str) -> dict[str, str]:
    found = client.containers.list(all=True, filters={"label": f"runyard.session={session_id}"})
    assert all(one.labels["runyard.deployment"] == deployed for one in found)
    return {one.name: one.status for one in found}


def files(talk: Talk, verb: str, session_id: str, **query: str) -> Any:
    answered = talk.http.get(f"/api/files/{verb}", params={"sessionId": session_id, **query}, timeout=90)
    assert answered.status_code == 200, answered.text
    return answered


def test_files_are_read_from_a_container_and_after_it_is_gone(inside: Talk) -> None:
    first = inside.say("write hello.txt: one", provider="demo", options=AUTO)
    session_id, first_run = first[0]["sessionId"], first[0]["runId"]
    assert files(inside, "tree", session_id).json()["state"] == "live"
    assert files(inside, "content", session_id, path="hello.txt").json()["text"] == "one\n"
    kept = inside.http.post(f"/api/sessions/{session_id}/uploads", params={"name": "sent.txt"}, content=b"sent")
    assert (kept.status_code, kept.json()["placed"]) == (201, True), kept.text
    second = inside.say("write hello.txt: two", provider="demo", sessionId=session_id, options=AUTO)
    put_to_rest(inside, session_id)
    remove(inside, session_id)

    assert files(inside, "tree", session_id).json()["state"] == "saved"
    assert files(inside, "download", session_id, path=kept.json()["path"]).content == b"sent"
    assert [found["path"] for found in files(inside, "search", session_id, q="hello").json()["items"]] == ["hello.txt"]
    with zipfile.ZipFile(io.BytesIO(files(inside, "zip", session_id).content)) as archive:
        assert archive.read("workspace/hello.txt") == b"two\n"
    runs = {"from": first_run, "to": second[0]["runId"]}
    assert "hello.txt" in [change["path"] for change in files(inside, "diff", session_id, **runs).json()["files"]]
    back = {"sessionId": session_id, "runId": first_run, "path": "hello.txt"}
    inside.http.post("/api/files/restore", json=back, timeout=90).raise_for_status()
    assert "one" in texts(inside.say("read hello.txt", provider="demo", sessionId=session_id, options=AUTO))
