"""End all session workers when Compose takes the whole of Runyard down.

Session workers are the job worker's containers, not Compose's. `docker compose down` and `stop` end the API before the
job worker, which it depends on; a restart or an update of services ends the job worker while the API runs.
"""

from __future__ import annotations

import threading

import structlog

from jobs.hosts import HostFailed
from jobs.hosts.deployment import labels_of, stop_all
from jobs.hosts.docker_client import DockerClient
from jobs.hosts.settings import DockerSettings, read_docker_settings

PROJECT, SERVICE = "com.docker.compose.project", "com.docker.compose.service"
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
    docker_client = DockerClient()
    try:
        with _one_at_a_time:
            _end(docker_client, settings)
    except HostFailed as error:
        _log.warning("workers.left", reason=error.detail)
    finally:
        docker_client.close()


def _end(docker_client: DockerClient, settings: DockerSettings) -> None:
    if docker_client.running({PROJECT: settings.worker_compose_project, SERVICE: API}):
        _log.info("workers.go_on")
        return
    _log.info("workers.stopped", containers=stop_all(docker_client, labels_of(settings.worker_deployment)))
