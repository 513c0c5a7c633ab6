"""What a worker's container is made of: every measure that keeps a hostile agent in it stands here.

The executor is uid 0 with three powers: to become the agent's account (SETUID, SETGID), and to end its processes
(KILL). It needs none over files: its state is its own, and the agent's it touches as the agent
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
POWERS = ["SETUID", "SETGID", "KILL"]
PRIVATE_BYTES = 16 * 1024 * 1024
CPU_PERIOD_MICROSECONDS = 10_000
"""What is used up of a share is held back after slices of this. By the engine's own of 100,000 a worker may be on every
processor for tens of milliseconds first, and its neighbours wait for so long."""
RUN = "/run"
"""A folder in memory, for the executor alone: the providers file and secrets that it is given are nowhere else."""


@dataclass(frozen=True)
class Furniture:
    """What executors are given besides their own settings: variables, and files by their path in the container."""

    settings: Mapping[str, str]
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Box:
    """`volumes` by what they hold: workspace, agent, state. Each is mounted at the path of that name."""

    name: str
    labels: Mapping[str, str]
    network: str
    publish_address: str
    limits: WorkerLimits
    volumes: Mapping[str, str]


def box_options(box: Box) -> dict[str, Any]:
    """As the SDK takes them. `tmpfs` counts as memory, so /tmp is held to a quarter of it."""
    memory = box.limits.memory_bytes
    return {
        "name": box.name,
        "hostname": "worker",
        "labels": dict(box.labels),
        "user": "0:0",
        "init": True,
        "stdin_open": True,
        "cap_drop": ["ALL"],
        "cap_add": POWERS,
        "security_opt": ["no-new-privileges:true", f"seccomp={seccomp_profile()}"],
        "read_only": True,
        "tmpfs": {
            "/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={memory // 4 if memory else PRIVATE_BYTES}",  # noqa: S108
            RUN: f"rw,noexec,nosuid,nodev,mode=700,size={PRIVATE_BYTES}",
        },
        "mounts": [Mount(f"/{kind}", volume, type="volume") for kind, volume in box.volumes.items()],
        "network": box.network,
        "ports": {f"{PORT}/tcp": (box.publish_address, None)},
        "pids_limit": box.limits.processes,
        "mem_limit": memory,
        "memswap_limit": memory,
        "cpu_period": CPU_PERIOD_MICROSECONDS if box.limits.cpus else None,
        "cpu_quota": int(box.limits.cpus * CPU_PERIOD_MICROSECONDS) if box.limits.cpus else None,
        "ulimits": [Ulimit(name="core", soft=0, hard=0)],
        "log_config": LogConfig(type="json-file", config={"max-size": "10m", "max-file": "2"}),
        "restart_policy": {"Name": "no"},
    }


def cutter_options(name: str, networks: tuple[str, ...]) -> dict[str, Any]:
    """Of the short-lived container that closes routes of the running box `name`, for nobody in that can."""
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
