"""The container engine: whether it answers, has the image, and can hold workers to their limits."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.doctor import Finding
from jobs.hosts import HostFailed
from jobs.hosts.deployment import disk_limited_by
from jobs.hosts.docker_client import DockerClient
from jobs.hosts.settings import DockerSettings

DISK = {
    "engine": "the engine holds the volumes of workers to their size",
    "watch": "the engine has no quota on volumes: executors watch the size and stop a run that goes beyond",
}


def check_engine(settings: DockerSettings) -> list[Finding]:
    docker_client = DockerClient()
    try:
        return list(_look(docker_client, settings))
    except HostFailed as error:
        return [Finding("host", "wrong", error.detail, "start the engine, or set DOCKER_HOST to where it listens")]
    finally:
        docker_client.close()


def _look(docker_client: DockerClient, settings: DockerSettings) -> Iterator[Finding]:
    info = docker_client.info()
    yield Finding("host", "ok", f"the container engine {info.version} answers")
    if not docker_client.has_image(settings.executor_image):
        yield Finding("host", "wrong", f"the image {settings.executor_image} is not there", "make executor-image")
    for limit in info.limits_missing:
        yield Finding(
            "host", "wrong", f"the engine cannot limit {limit}", "give its machine the kernel's control groups"
        )
    if not info.has_seccomp:
        yield Finding("host", "wrong", "the engine has no seccomp: workers would not be confined", "use one that has")
    limited_by = disk_limited_by(docker_client, settings.worker_deployment)
    yield Finding("disk", "ok" if limited_by == "engine" else "note", DISK[limited_by])
