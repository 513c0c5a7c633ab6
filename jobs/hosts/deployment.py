"""What all workers of a deployment share on the engine, and `python -m jobs.hosts.deployment gateway | stop`.

`gateway` makes their network if it is missing and prints this machine's address in it: there the API is to listen.
`stop` stops their containers, in order; what they hold stays on their volumes for the next start.
"""

from __future__ import annotations

import sys
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
STOPPED_AT_ONCE = 8
NETWORK_OPTIONS = {
    "com.docker.network.bridge.enable_icc": "false",
    "com.docker.network.bridge.host_binding_ipv4": "127.0.0.1",
}

DiskLimit = Literal["engine", "watch"]

_log = structlog.stdlib.get_logger(__name__)


def labels_of(deployment: str) -> dict[str, str]:
    return {DEPLOYMENT: deployment}


def ensure_network(engine: DockerClient, deployment: str, *, subnet: str) -> ContainerNetwork:
    """The bridge of this deployment's workers, which cannot reach each other over it. Raises HostFailed."""
    name = f"{deployment}-workers"
    if (found := engine.network(name)) is not None:
        return found
    try:
        engine.create_network(name, subnet=subnet, labels=labels_of(deployment), options=NETWORK_OPTIONS)
    except NameTaken:
        _log.debug("network.made_by_another")
    made = engine.network(name)
    if made is None:
        raise HostFailed(f"The engine made no network {name}.")
    return made


def disk_limited_by(engine: DockerClient, deployment: str) -> DiskLimit:
    """Whether the engine can hold a volume to a size, or the executor has to watch it: found out by trying."""
    probe = f"{deployment}-quota-probe"
    try:
        engine.create_volume(probe, labels=labels_of(f"{deployment}.probe"), options={"size": str(QUOTA_PROBE_BYTES)})
    except HostFailed:
        return "watch"
    engine.remove_volume(probe)
    return "engine"


def stop_all(engine: DockerClient, labels: Mapping[str, str]) -> int:
    """How many ran."""
    running = [one.name for one in engine.containers(labels) if one.is_running]
    with ThreadPoolExecutor(STOPPED_AT_ONCE) as pool:
        list(pool.map(lambda name: engine.stop(name, seconds=STOP_SECONDS), running))
    return len(running)


def main(arguments: list[str]) -> int:
    try:
        settings, engine = read_docker_settings(), DockerClient()
        match arguments:
            case ["gateway"]:
                network = ensure_network(engine, settings.worker_deployment, subnet=settings.worker_subnet)
                sys.stdout.write(f"{network.gateway}\n")
            case ["stop"]:
                stop_all(engine, labels_of(settings.worker_deployment))
            case _:
                sys.stderr.write("usage: python -m jobs.hosts.deployment gateway | stop\n")
                return 2
    except (HostFailed, BadSetting) as error:
        sys.stderr.write(f"{error.detail}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
