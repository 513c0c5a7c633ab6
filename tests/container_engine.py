"""A real container engine for tests: where it is, whose turn it is to stop it, and deployments that leave nothing.

It is found as all its clients find it (DOCKER_HOST). RUNYARD_TEST_ENGINE names the folder of one that `.ci/engine`
started: only that one is ever stopped. Where none answers, or the executor's image is not there, tests are skipped.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import docker
import pytest
from docker.errors import DockerException, ImageNotFound, NotFound

from jobs.hosts.deployment import ensure_network, labels_of
from jobs.hosts.docker_client import DockerClient
from tests.guards import MARK

IMAGE = os.environ.get("EXECUTOR_IMAGE", "runyard-executor")
ENGINE_FOLDER = "RUNYARD_TEST_ENGINE"
AGENT = "10001"
ROOT = Path(__file__).parents[1]
_LOCK = Path(tempfile.gettempdir()) / f"runyard-test-engine-{os.geteuid()}.lock"


@contextmanager
def _turn(kind: int) -> Iterator[None]:
    """Tests that use the engine share it; one that stops it is alone, in all processes of the run."""
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, kind)
        yield


def engine_or_skip() -> Any:
    """The SDK's client, for what tests do behind our back."""
    try:
        client = docker.from_env(timeout=60)
        client.images.get(IMAGE)
    except ImageNotFound:
        pytest.skip(f"the image {IMAGE} is not there: make executor-image")
    except DockerException as error:
        pytest.skip(f"no container engine answers: {error}")
    return client


@pytest.fixture(scope="module")
def docker_client() -> Iterator[Any]:
    """Nobody stops the engine meanwhile. A module that uses it has no test that does."""
    with _turn(fcntl.LOCK_SH):
        client = engine_or_skip()
        yield client
        client.close()


@pytest.fixture
def engine_to_stop() -> Iterator[EngineToStop]:
    """Nobody else uses the engine meanwhile; it runs again afterwards."""
    folder = os.environ.get(ENGINE_FOLDER)
    if not folder:
        pytest.skip(f"{ENGINE_FOLDER} names no engine that may be stopped")
    with _turn(fcntl.LOCK_EX):
        engine_or_skip().close()
        engine = EngineToStop(Path(folder))
        yield engine
        engine.start()


class EngineToStop:
    """What `.ci/engine` started in this folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def stop(self) -> None:
        self._do("stop")

    def start(self) -> None:
        """Without the mark of the tests' own processes: it is there to stay."""
        self._do("start")

    def _do(self, what: str) -> None:
        environ = {name: value for name, value in os.environ.items() if name != MARK}
        subprocess.run([ROOT / ".ci" / "engine", what, self._folder], env=environ, check=True, timeout=60)


@contextmanager
def deployment() -> Iterator[str]:
    """A label of its own; all that carries it is gone afterwards."""
    name = f"test-{uuid4().hex[:12]}"
    engine = DockerClient()
    try:
        yield name
    finally:
        clear(engine, name)
        engine.close()


def clear(engine: DockerClient, name: str) -> None:
    for container in engine.containers(labels_of(name)):
        engine.remove_container(container.name)
    for volume in engine.volumes(labels_of(name)):
        engine.remove_volume(volume.name)
    engine.remove_network(f"{name}-workers")


def gateway_of(name: str) -> str:
    """This machine's address as the deployment's workers see it."""
    engine = DockerClient()
    try:
        return ensure_network(engine, name, subnet="").gateway
    finally:
        engine.close()


def run_in(client: Any, container: str, command: str | list[str], *, user: str = AGENT) -> tuple[int, str]:
    """Status and output of a command in a running container, by default as an agent's process would run it."""
    line = ["sh", "-c", command] if isinstance(command, str) else command
    done = client.containers.get(container).exec_run(line, user=user, workdir="/")
    return done.exit_code, done.output.decode(errors="replace").strip()


def kill(client: Any, container: str) -> None:
    """As a machine's memory shortage or an operator's `docker kill` would."""
    try:
        client.api.kill(container, "SIGKILL")
    except NotFound as error:
        raise AssertionError(f"{container} was not there") from error
