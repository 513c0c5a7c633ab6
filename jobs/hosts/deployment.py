"""The network and labels of a deployment's workers, and `python -m jobs.hosts.deployment gateway | stop`.

`gateway` creates a missing network and prints this machine's address in it: the API must listen there. `stop` stops the
workers' containers in order and keeps their volumes for the next start.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import structlog

from jobs.hosts import HostFailed
from jobs.hosts.docker_client import ContainerNetwork, DockerClient, NameTaken
from jobs.hosts.settings import read_docker_settings
from schema.settings import BadSetting

DEPLOYMENT = "runyard.deployment"
STOP_SECONDS = 15.0
QUOTA_PROBE_BYTES = 64 * 1024 * 1024
STOPPED_AT_ONCE = 64
"""The container engine does the waiting: 400 that all need STOP_SECONDS have ended after 105 seconds."""
STOP_ALL_SECONDS = 90.0
"""Begin no further round of stops after this time. Compose gives the job worker 120 seconds to end."""
NETWORK_OPTIONS = {
    "com.docker.network.bridge.enable_icc": "false",
    "com.docker.network.bridge.host_binding_ipv4": "127.0.0.1",
}

DiskLimit = Literal["engine", "watch"]

_log = structlog.stdlib.get_logger(__name__)


def labels_of(deployment: str) -> dict[str, str]:
    return {DEPLOYMENT: deployment}


def ensure_network(docker_client: DockerClient, deployment: str, *, subnet: str) -> ContainerNetwork:
    """Return the bridge network of this deployment's workers; create a missing one. Raise HostFailed.

    Workers cannot reach each other over it.
    """
    name = f"{deployment}-workers"
    if (network := docker_client.network(name)) is not None:
        return network
    try:
        docker_client.create_network(name, subnet=subnet, labels=labels_of(deployment), options=NETWORK_OPTIONS)
    except NameTaken:
        _log.debug("network.created_elsewhere")
    network = docker_client.network(name)
    if network is None:
        raise HostFailed(f"The container engine created no network {name}.")
    return network


def disk_limited_by(docker_client: DockerClient, deployment: str) -> DiskLimit:
    """Try whether the container engine can limit a volume's size. If not, the executor watches it."""
    probe = f"{deployment}-quota-probe"
    try:
        docker_client.create_volume(
            probe, labels=labels_of(f"{deployment}.probe"), options={"size": str(QUOTA_PROBE_BYTES)}
        )
    except HostFailed:
        return "watch"
    docker_client.remove_volume(probe)
    return "engine"


def stop_all(docker_client: DockerClient, labels: Mapping[str, str]) -> int:
    """Stop all running containers with these labels, also those that start meanwhile. Return their number."""
    stopped: set[str] = set()
    ends = time.monotonic() + STOP_ALL_SECONDS
    with ThreadPoolExecutor(STOPPED_AT_ONCE) as pool:
        while (running := docker_client.running_ids(labels)) and time.monotonic() < ends:
            list(pool.map(lambda one: docker_client.stop(one, seconds=STOP_SECONDS), running))
            stopped.update(running)
    return len(stopped)


def main(arguments: list[str]) -> int:
    try:
        settings, docker_client = read_docker_settings(), DockerClient(connections=STOPPED_AT_ONCE)
        match arguments:
            case ["gateway"]:
                network = ensure_network(docker_client, settings.worker_deployment, subnet=settings.worker_subnet)
                sys.stdout.write(f"{network.gateway}\n")
            case ["stop"]:
                stop_all(docker_client, labels_of(settings.worker_deployment))
            case _:
                sys.stderr.write("usage: python -m jobs.hosts.deployment gateway | stop\n")
                return 2
    except (HostFailed, BadSetting) as error:
        sys.stderr.write(f"{error.detail}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
