"""Docker hosts on a real engine, each with a deployment of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from jobs.hosts.docker import DockerHost, DockerHostSettings
from jobs.hosts.docker_client import DockerClient
from jobs.hosts.environment import container_inputs
from jobs.runtime.executor_client import ExecutorClient, RetryRules
from schema.secret_keys import SecretKeys
from schema.worker_limits import MEBIBYTE, WorkerLimits
from tests.container_engine import IMAGE, deployment

SECRET = b"s" * 32
LIMITS = WorkerLimits(cpus=1.0, memory_bytes=512 * MEBIBYTE, processes=100, disk_bytes=256 * MEBIBYTE)
PROVIDERS = Path(__file__).parents[5] / "providers.toml"
MODEL_KEY = "sk-a-model-key-that-only-agents-get"
MakeHost = Callable[..., DockerHost]


def no_limits(_session_id: UUID) -> WorkerLimits:
    return WorkerLimits()


def host_settings(name: str) -> DockerHostSettings:
    return DockerHostSettings(
        deployment=name,
        image=IMAGE,
        keys=SecretKeys(SECRET),
        executor_inputs=lambda: container_inputs({"ANTHROPIC_API_KEY": MODEL_KEY}, providers_file=PROVIDERS),
        limits_of=no_limits,
        limits=LIMITS,
        cut_off=("169.254.0.0/16",),
        stop_seconds=5,
    )


@pytest.fixture
def engine_name() -> Iterator[str]:
    """The label of this test's deployment."""
    with deployment() as name:
        yield name


@contextmanager
def host_maker() -> Iterator[MakeHost]:
    made: list[tuple[DockerClient, ExecutorClient]] = []

    def make(name: str, **changes: Any) -> DockerHost:
        docker_client, executors = DockerClient(), ExecutorClient(RetryRules(attempts=1), timeout_seconds=10)
        made.append((docker_client, executors))
        return DockerHost(replace(host_settings(name), **changes), executors=executors, docker_client=docker_client)

    yield make
    for docker_client, executors in made:
        docker_client.close()
        executors.close()


@pytest.fixture
def make_host() -> Iterator[MakeHost]:
    """A host of the deployment `name`; `changes` are of its settings."""
    with host_maker() as make:
        yield make


@pytest.fixture
def host(docker_client: Any, engine_name: str, make_host: MakeHost) -> DockerHost:  # noqa: ARG001  in this order
    return make_host(engine_name)
