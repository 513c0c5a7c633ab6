"""The Docker host on a real engine: containers come and go, the volumes of a session stay until they are removed."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from jobs.hosts import GONE, HostFailed
from jobs.hosts.docker import DockerHost
from jobs.hosts.docker_client import DockerClient
from tests.container_engine import kill, run_in
from tests.integration.jobs.hosts.docker.conftest import MODEL_KEY, SECRET, MakeHost

pytestmark = pytest.mark.docker


def container_of(host: DockerHost, session_id: object, epoch: int = 1) -> str:
    return f"{host._settings.deployment}-{session_id}-{epoch}"


def keep_a_word(client: Any, container: str, word: str) -> None:
    assert run_in(client, container, f"echo {word} > /workspace/kept && echo {word} > /agent/kept")[0] == 0


def kept_word(client: Any, container: str) -> str:
    return run_in(client, container, "cat /workspace/kept /agent/kept")[1]


def test_a_worker_starts_is_stopped_and_starts_again_where_it_was(docker_client: Any, host: DockerHost) -> None:
    session_id = uuid4()
    assert host.facts(session_id) == GONE
    endpoint = host.ensure_started(session_id, 1)
    facts = host.facts(session_id)
    assert (facts.state, facts.endpoint, facts.volume_epoch) == ("alive", endpoint, 1)
    assert host.sessions() == {session_id: True}
    assert host.ensure_started(session_id, 1) == endpoint

    keep_a_word(docker_client, container_of(host, session_id), "plum")
    host.stop(session_id)
    assert (host.facts(session_id).state, host.is_dead(session_id)) == ("dead", True)
    assert host.sessions() == {session_id: False}

    host.ensure_started(session_id, 1)
    assert kept_word(docker_client, container_of(host, session_id)) == "plum\nplum"


def test_a_removed_worker_leaves_nothing(docker_client: Any, host: DockerHost, engine_name: str) -> None:
    session_id = uuid4()
    host.ensure_started(session_id, 1)
    host.remove(session_id)
    host.remove(session_id)
    assert host.facts(session_id) == GONE
    assert host.sessions() == {}
    left = docker_client.containers.list(all=True, filters={"name": engine_name})
    assert [*left, *docker_client.volumes.list(filters={"name": engine_name})] == []


def test_a_container_killed_behind_our_back_is_noticed_and_started_on_its_own_volume(
    docker_client: Any, host: DockerHost
) -> None:
    session_id = uuid4()
    host.ensure_started(session_id, 1)
    keep_a_word(docker_client, container_of(host, session_id), "pear")
    kill(docker_client, container_of(host, session_id))
    assert (host.facts(session_id).state, host.is_dead(session_id)) == ("dead", True)
    host.ensure_started(session_id, 1)
    assert host.facts(session_id).state == "alive"
    assert kept_word(docker_client, container_of(host, session_id)) == "pear\npear"


def test_a_place_whose_volume_is_gone_is_gone(docker_client: Any, host: DockerHost) -> None:
    session_id = uuid4()
    host.ensure_started(session_id, 1)
    docker_client.api.remove_container(container_of(host, session_id), force=True)
    docker_client.api.remove_volume(f"{container_of(host, session_id)}-agent")
    assert host.facts(session_id) == GONE


def test_a_newer_epoch_has_a_place_of_its_own_and_ends_the_older_executor(docker_client: Any, host: DockerHost) -> None:
    session_id = uuid4()
    host.ensure_started(session_id, 1)
    keep_a_word(docker_client, container_of(host, session_id), "old")
    host.ensure_started(session_id, 2)
    assert host.facts(session_id).volume_epoch == 2
    assert run_in(docker_client, container_of(host, session_id, 2), "ls -A /workspace") == (0, "")
    running = docker_client.containers.list(filters={"name": str(session_id)})
    assert [one.name for one in running] == [container_of(host, session_id, 2)]
    with pytest.raises(HostFailed, match="newer epoch") as refused:
        host.ensure_started(session_id, 1)
    assert refused.value.problem_code == "stale_epoch"


def test_two_deployments_on_one_engine_do_not_see_each_other(host: DockerHost, make_host: MakeHost) -> None:
    other, session_id = make_host("test-another"), uuid4()
    host.ensure_started(session_id, 1)
    assert other.facts(session_id) == GONE
    assert other.sessions() == {}
    other.stop(session_id)
    other.remove(session_id)
    assert host.facts(session_id).state == "alive"


def test_an_executor_that_hangs_is_silent_and_replaced(docker_client: Any, host: DockerHost) -> None:
    session_id = uuid4()
    host.ensure_started(session_id, 1)
    keep_a_word(docker_client, container_of(host, session_id), "fig")
    docker_client.api.pause(container_of(host, session_id))
    assert host.facts(session_id).state == "silent"
    assert host.is_dead(session_id) is False
    host.ensure_started(session_id, 1)
    assert host.facts(session_id).state == "alive"
    assert kept_word(docker_client, container_of(host, session_id)) == "fig\nfig"


@pytest.mark.usefixtures("docker_client")
def test_a_missing_image_is_said_with_what_to_do(make_host: MakeHost, engine_name: str) -> None:
    host = make_host(engine_name, image="no-such-image-anywhere")
    with pytest.raises(HostFailed, match="make executor-image"):
        host.ensure_started(uuid4(), 1)


def test_no_secret_can_be_read_from_the_engine(docker_client: Any, host: DockerHost) -> None:
    session_id = uuid4()
    endpoint = host.ensure_started(session_id, 1)
    told = json.dumps(docker_client.api.inspect_container(container_of(host, session_id)))
    told += docker_client.api.logs(container_of(host, session_id)).decode()
    for secret in (endpoint.token, MODEL_KEY, SECRET.decode()):
        assert secret not in told


def test_a_port_is_published_on_loopback_only(docker_client: Any, host: DockerHost) -> None:
    session_id = uuid4()
    endpoint = host.ensure_started(session_id, 1)
    found = docker_client.api.inspect_container(container_of(host, session_id))
    bound = [one["HostIp"] for ports in found["NetworkSettings"]["Ports"].values() for one in ports]
    assert bound == ["127.0.0.1"]
    assert endpoint.base_url.startswith("http://127.0.0.1:")


@pytest.mark.usefixtures("docker_client")
def test_the_disk_is_limited_by_someone(host: DockerHost) -> None:
    assert host.disk_limited_by() in {"engine", "watch"}


@pytest.mark.usefixtures("docker_client")
def test_workers_can_be_told_by_their_labels(host: DockerHost, engine_name: str) -> None:
    session_id = uuid4()
    host.ensure_started(session_id, 3)
    docker_client = DockerClient()
    (found,) = docker_client.containers({"runyard.deployment": engine_name})
    docker_client.close()
    assert (found.labels["runyard.session"], found.labels["runyard.epoch"]) == (str(session_id), "3")
