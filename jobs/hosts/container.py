"""The options of a worker's container, with every measure that confines a hostile agent.

The executor is uid 0 with three capabilities: to become the agent's account (SETUID, SETGID) and to end its processes
(KILL). It needs no capability over files: it owns its state, and it touches the agent's files as the agent
(executor/process/account.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from docker.types import LogConfig, Mount, Ulimit

from jobs.hosts.seccomp import seccomp_profile
from schema.worker_limits import WorkerLimits

PORT = 8080
CAPABILITIES = ["SETUID", "SETGID", "KILL"]
PRIVATE_BYTES = 16 * 1024 * 1024
CPU_PERIOD_MICROSECONDS = 10_000
"""The period after which the kernel throttles a worker that used up its CPU quota. With Docker's default of 100,000 a
worker may use every processor for tens of milliseconds first, while its neighbours wait."""
RUN_DIR = "/run"
"""A folder in memory for the executor alone: the only folder with the providers file and its secrets."""


@dataclass(frozen=True)
class ExecutorInputs:
    """The inputs of an executor besides its own settings: variables, and files by their path in the container."""

    settings: Mapping[str, str]
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """A container to create. `volumes` maps workspace, agent and state to volume names; each is its mount path."""

    name: str
    labels: Mapping[str, str]
    network: str
    publish_address: str
    limits: WorkerLimits
    volumes: Mapping[str, str]


def container_options(spec: ContainerSpec) -> dict[str, Any]:
    """Return the options for the Docker SDK. `tmpfs` counts as memory, so /tmp gets a quarter of the limit."""
    memory = spec.limits.memory_bytes
    return {
        "name": spec.name,
        "hostname": "worker",
        "labels": dict(spec.labels),
        "user": "0:0",
        "init": True,
        "stdin_open": True,
        "cap_drop": ["ALL"],
        "cap_add": CAPABILITIES,
        "security_opt": ["no-new-privileges:true", f"seccomp={seccomp_profile()}"],
        "read_only": True,
        "tmpfs": {
            "/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={memory // 4 if memory else PRIVATE_BYTES}",  # noqa: S108
            RUN_DIR: f"rw,noexec,nosuid,nodev,mode=700,size={PRIVATE_BYTES}",
        },
        "mounts": [Mount(f"/{kind}", volume, type="volume") for kind, volume in spec.volumes.items()],
        "network": spec.network,
        "ports": {f"{PORT}/tcp": (spec.publish_address, None)},
        "pids_limit": spec.limits.processes,
        "mem_limit": memory,
        "memswap_limit": memory,
        "cpu_period": CPU_PERIOD_MICROSECONDS if spec.limits.cpus else None,
        "cpu_quota": int(spec.limits.cpus * CPU_PERIOD_MICROSECONDS) if spec.limits.cpus else None,
        "ulimits": [Ulimit(name="core", soft=0, hard=0)],
        "log_config": LogConfig(type="json-file", config={"max-size": "10m", "max-file": "2"}),
        "restart_policy": {"Name": "no"},
    }


def egress_block_options(name: str, networks: tuple[str, ...]) -> dict[str, Any]:
    """Return the options of the short-lived container that blocks routes of the running container `name`.

    No process in the worker's container has the capability to change them.
    """
    return {
        "name": f"{name}-egress",
        "command": ["python", "-m", "executor.process.egress", *networks],
        "network_mode": f"container:{name}",
        "user": "0:0",
        "cap_drop": ["ALL"],
        "cap_add": ["NET_ADMIN"],
        "security_opt": ["no-new-privileges:true"],
        "read_only": True,
    }
