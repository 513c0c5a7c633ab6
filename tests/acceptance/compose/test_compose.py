"""docker-compose.yml itself on a real container engine, with the images of tests/acceptance/compose/images.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.hosts.docker_client import DockerClient
from tests.acceptance.compose import hostile
from tests.acceptance.compose.deployed import SECRETS, Deployed, new_project
from tests.acceptance.compose.images import build_images
from tests.acceptance.compose.job_queue import list_cancel_and_retry
from tests.acceptance.stack import free_port
from tests.acceptance.talk import Json, Talk, of_type, outcome, texts
from tests.acceptance.waiting import wait_until
from tests.container_engine import clear
from tests.model_server.starter import ModelServer
from tests.open_questions import allow_all, ask_all, made, nothing_again, pending
from tests.proxy import Proxy

pytestmark = [pytest.mark.docker, pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]

AUTO = {"mode": "auto"}


@pytest.fixture
def project(docker_client: Any, tmp_path: Path) -> Iterator[Deployed]:
    """Not started."""
    build_images(docker_client)
    project = new_project(docker_client, tmp_path)
    try:
        yield project
    finally:
        project.compose("down", "--volumes")
        engine = DockerClient()
        clear(engine, project.project)
        engine.close()


@pytest.fixture
def deployed(project: Deployed) -> Deployed:
    project.up()
    wait_until(project.is_ready, seconds=120, what=project.logs)
    return project


def test_a_deployment_serves_keeps_its_secrets_and_takes_its_workers_down(
    docker_client: Any, deployed: Deployed
) -> None:
    with Talk(deployed.url, first_token(deployed)) as talk:
        first = talk.say("say: hello", provider="demo", options=AUTO)
        assert (outcome(first), "hello" in texts(first)) == (("succeeded", None), True)
        asked = talk.say("write made.txt: a heron", provider="demo", options={"mode": "ask"}, answer="allow")
        assert (outcome(asked), len(of_type(asked, "human_loop.resolved"))) == (("succeeded", None), 1)
        session_id = asked[0]["sessionId"]
        assert "a heron" in texts(talk.say("read made.txt", provider="demo", sessionId=session_id, options=AUTO))
        get_nothing(docker_client, deployed, talk, neighbour=first[0]["sessionId"])
        working = outlive_the_job_worker(docker_client, deployed, talk)
        list_cancel_and_retry(deployed, talk, session_id=session_id, other_session_id=first[0]["sessionId"])
        assert talk.run(working["runId"])["status"] == "running"
    end_with_everything(docker_client, deployed)


@pytest.mark.agents
def test_open_questions_of_all_agents_outlive_an_upgrade_of_api_and_job_worker(
    docker_client: Any, project: Deployed, scripted_model: ModelServer, model: ModelServer
) -> None:
    port = free_port()
    project.use_model(f"http://{project.gateway}:{port}")
    project.up()
    wait_until(project.is_ready, seconds=120, what=project.logs)
    door = Proxy(("127.0.0.1", int(scripted_model.url.rpartition(":")[2])), host=project.gateway, port=port)
    try:
        with Talk(project.url, first_token(project)) as talk:
            asked = ask_all(talk, model)
            before = {provider: pending(talk, started) for provider, started in asked.items()}
            sessions = workers(docker_client, project)
            upgrade(docker_client, project)
            assert {provider: pending(talk, started) for provider, started in asked.items()} == before
            assert workers(docker_client, project) == sessions
            allow_all(talk, model, asked, lambda started: made(talk, started), again=nothing_again)
    finally:
        door.close()


def first_token(deployed: Deployed) -> str:
    printed = deployed.compose("exec", "-T", "api", "python", "-m", "cli", "users", "token", "admin")
    return printed.split()[-1]


def upgrade(client: Any, deployed: Deployed) -> None:
    """Compose replaces the containers whose images have another name now, as after an update."""
    old = {name: container_id(client, deployed, name) for name in ("api", "worker")}
    for variable in ("RUNYARD_IMAGE", "RUNYARD_WORKER_IMAGE"):
        name = deployed.environ[variable]
        client.images.get(name).tag(name, tag="next")
        deployed.environ[variable] = f"{name}:next"
    deployed.up()
    wait_until(deployed.is_ready, seconds=120, what=deployed.logs)
    assert [name for name, was in old.items() if container_id(client, deployed, name) == was] == []


def container_id(client: Any, deployed: Deployed, service: str) -> str:
    return str(client.containers.get(f"{deployed.project}-{service}-1").id)


def get_nothing(client: Any, deployed: Deployed, talk: Talk, *, neighbour: str) -> None:
    """A hostile agent finds no secret, and reaches the callbacks' door and the store's alone."""
    targets = {
        "PostgreSQL": (address(client, deployed, f"{deployed.project}-postgres-1"), 5432),
        "PostgreSQL at the gateway": (deployed.gateway, deployed.port("POSTGRES_PORT")),
        "the store itself": (address(client, deployed, f"{deployed.project}-store-1"), 9000),
        "the API": (address(client, deployed, f"{deployed.project}-api-1"), 8080),
        "the API at the gateway": (deployed.gateway, deployed.port("RUNYARD_PORT")),
        "metadata": ("169.254.169.254", 80),
        "another worker": (address(client, deployed, f"{deployed.project}-{neighbour}-1"), 8080),
    }
    callbacks = f"http://{deployed.gateway}:{deployed.environ['WORKER_PORT']}"
    store = f"http://{deployed.gateway}:{deployed.environ['STORE_PORT']}"
    doors = {"api": f"{callbacks}/api/sessions", "page": f"{callbacks}/", "bucket": f"{store}/runyard"}
    events = talk.say(hostile.prompt(targets, doors), provider="demo", options=AUTO)
    told = "".join(str(update.get("output") or "") for update in of_type(events, "tool.update"))
    assert "OVER" in told, outcome(events)
    assert [line for line in told.splitlines() if line.startswith("OPEN")] == []
    answers = [line.split(maxsplit=1)[1] for line in told.splitlines() if line.startswith("ANSWER")]
    assert answers == ["api 404", "page 404", "bucket 403"]
    assert [name for name in SECRETS if deployed.environ[name] in told] == []
    assert [name for name in ("DATABASE_URL", "EXECUTOR_AUTH_TOKEN=", "secrets'") if name in told] == []


def outlive_the_job_worker(client: Any, deployed: Deployed, talk: Talk) -> Json:
    """A restarted and a replaced job worker leave a run at work. Return that run."""
    started = talk.start("sleep 600", provider="demo", options=AUTO)
    talk.watch(started, until="run.started")
    before = workers(client, deployed)
    deployed.compose("restart", "worker")
    deployed.up("--force-recreate", "--no-deps", "worker")
    assert workers(client, deployed) == before
    wait_until(deployed.is_ready, seconds=120, what=deployed.logs)
    assert talk.run(started["runId"])["status"] == "running"
    return started


def end_with_everything(client: Any, deployed: Deployed) -> None:
    """The containers of sessions end in order, also of one that works, and their volumes stay for the next start."""
    assert len(workers(client, deployed)) >= 3
    deployed.compose("down")
    assert workers(client, deployed) == {}
    assert client.volumes.list(filters=of_sessions(deployed)) != []
    assert client.networks.list(names=[f"{deployed.project}-workers"]) == []


def workers(client: Any, deployed: Deployed) -> dict[str, str]:
    """The running containers of sessions, each with the time of its start."""
    found = client.containers.list(filters=of_sessions(deployed))
    return {one.name: one.attrs["State"]["StartedAt"] for one in found}


def of_sessions(deployed: Deployed) -> Json:
    return {"label": f"runyard.deployment={deployed.project}"}


def address(client: Any, deployed: Deployed, container: str) -> str:
    networks = client.containers.get(container).attrs["NetworkSettings"]["Networks"]
    found = [network["IPAddress"] for network in networks.values()]
    assert found[0], (container, deployed.project)
    return str(found[0])
