"""End all session workers when Compose takes the whole of Runyard down.

Session workers are the job worker's containers, not Compose's. `docker compose down` and `stop` end the API before the
job worker, which it depends on; a restart or an update of services ends the job worker while the API runs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

import structlog

from jobs.hosts import HostFailed
from jobs.hosts.deployment import STOPPED_AT_ONCE, labels_of, stop_all
from jobs.hosts.docker_client import DockerClient
from jobs.hosts.settings import DockerSettings, read_docker_settings

PROJECT, SERVICE = "com.docker.compose.project", "com.docker.compose.service"
ONE_OFF = "com.docker.compose.oneoff"
API = "api"

_one_at_a_time = threading.Lock()
_log = structlog.stdlib.get_logger(__name__)


def end_with_project(worker_host: str) -> None:
    """Stop all session workers and keep their volumes if the API of this Compose project runs no longer.

    Call it when the job worker has ended its work. A container engine that fails is logged: the next start continues
    with the session workers that are left.
    """
    if worker_host != "docker" or not (settings := read_docker_settings()).worker_compose_project:
        return
    docker_client = DockerClient(connections=STOPPED_AT_ONCE)
    try:
        with _one_at_a_time:
            _end(docker_client, settings)
    except HostFailed as error:
        _log.warning("workers.left", reason=error.detail)
    finally:
        docker_client.close()


def _end(docker_client: DockerClient, settings: DockerSettings) -> None:
    if has_service(docker_client.running({PROJECT: settings.worker_compose_project, SERVICE: API})):
        _log.info("workers.go_on")
        return
    _log.info("workers.stopped", containers=stop_all(docker_client, labels_of(settings.worker_deployment)))


def has_service(containers: Iterable[Mapping[str, str]]) -> bool:
    """Tell by their labels whether a container is more than one that `docker compose run` made for a command."""
    return any(labels.get(ONE_OFF) != "True" for labels in containers)
