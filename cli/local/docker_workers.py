"""`WORKER_HOST=docker make up`: run session workers in containers.

Containers reach this machine through the gateway address of their network.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256

from cli.local.data_dir import CLONE, DataDir
from cli.local.own_secrets import without_secrets
from cli.local.supervisor import StartFailed

ENGINE_SECONDS = 120.0


def uses_docker_workers(environ: Mapping[str, str]) -> bool:
    return environ.get("WORKER_HOST") == "docker"


def deployment_of(data_dir: DataDir, environ: Mapping[str, str]) -> str:
    """Return WORKER_DEPLOYMENT, or this clone's own label for its containers."""
    return environ.get("WORKER_DEPLOYMENT") or f"runyard-{sha256(os.fsencode(data_dir.root.resolve())).hexdigest()[:8]}"


def worker_gateway(data_dir: DataDir, environ: Mapping[str, str]) -> str | None:
    """Return this machine's address in the workers' network; None without containers. Raise StartFailed."""
    if not uses_docker_workers(environ):
        return None
    done = _deployment(data_dir, environ, "gateway")
    if done.returncode != 0:
        raise StartFailed(f"Docker workers are unavailable: {done.stderr.strip()[-1000:]}")
    return done.stdout.strip()


def stop_workers(data_dir: DataDir, environ: Mapping[str, str]) -> None:
    """Stop the worker containers and keep their volumes.

    Ignore a container engine that does not answer: the next start stops the containers.
    """
    if uses_docker_workers(environ):
        _deployment(data_dir, environ, "stop")


def worker_environment(
    data_dir: DataDir, environ: Mapping[str, str], *, gateway: str | None, port: int
) -> dict[str, str]:
    """Return the settings about workers for all programs of the control plane. `port` is the API's port."""
    if gateway is None:
        return {"WORKER_HOST": environ.get("WORKER_HOST") or "process"}
    return {
        "WORKER_HOST": "docker",
        "WORKER_DEPLOYMENT": deployment_of(data_dir, environ),
        "RUNYARD_WORKER_BIND": gateway,
        "RUNYARD_CALLBACK_URL": environ.get("RUNYARD_CALLBACK_URL") or f"http://{gateway}:{port}",
    }


def _deployment(data_dir: DataDir, environ: Mapping[str, str], command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jobs.hosts.deployment", command],
        cwd=CLONE,
        env={**without_secrets(environ), "WORKER_DEPLOYMENT": deployment_of(data_dir, environ)},
        capture_output=True,
        text=True,
        timeout=ENGINE_SECONDS,
        check=False,
    )
