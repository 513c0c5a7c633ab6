"""Check the container engine: it must answer, have the image, and enforce the workers' limits."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.doctor import Finding
from jobs.hosts import HostFailed
from jobs.hosts.deployment import disk_limited_by
from jobs.hosts.docker_client import DockerClient
from jobs.hosts.settings import DockerSettings

DISK = {
    "engine": "the container engine limits the size of workers' volumes",
    "watch": "the container engine has no volume quotas: executors watch the size and stop a run that exceeds it",
}


def check_engine(settings: DockerSettings) -> list[Finding]:
    docker_client = DockerClient()
    try:
        return list(_look(docker_client, settings))
    except HostFailed as error:
        return [Finding("host", "wrong", error.detail, "start the container engine, or set DOCKER_HOST to its address")]
    finally:
        docker_client.close()


def _look(docker_client: DockerClient, settings: DockerSettings) -> Iterator[Finding]:
    info = docker_client.info()
    yield Finding("host", "ok", f"the container engine {info.version} answers")
    if not docker_client.has_image(settings.executor_image):
        yield Finding("host", "wrong", f"the image {settings.executor_image} does not exist", "run make executor-image")
    for limit in info.limits_missing:
        yield Finding(
            "host",
            "wrong",
            f"the container engine cannot limit {limit}",
            "enable the kernel's control groups on its machine",
        )
    if not info.has_seccomp:
        yield Finding(
            "host", "wrong", "the container engine has no seccomp, so workers are not confined", "use an engine with it"
        )
    limited_by = disk_limited_by(docker_client, settings.worker_deployment)
    yield Finding("disk", "ok" if limited_by == "engine" else "note", DISK[limited_by])
