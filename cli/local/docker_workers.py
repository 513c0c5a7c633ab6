"""`WORKER_HOST=docker make up`: workers in containers, which reach this machine by one address of their own network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256

from cli.local.data_dir import CLONE, DataDir
from cli.local.supervisor import StartFailed

ENGINE_SECONDS = 120.0


def wants_docker(environ: Mapping[str, str]) -> bool:
    return environ.get("WORKER_HOST") == "docker"


def deployment_of(places: DataDir, environ: Mapping[str, str]) -> str:
    """This clone's own label on the engine, unless the person has given one."""
    return environ.get("WORKER_DEPLOYMENT") or f"runyard-{sha256(os.fsencode(places.root.resolve())).hexdigest()[:8]}"


def worker_gateway(places: DataDir, environ: Mapping[str, str]) -> str | None:
    """The address of this machine in the workers' network; None when they are no containers. Raises StartFailed."""
    if not wants_docker(environ):
        return None
    done = _deployment(places, environ, "gateway")
    if done.returncode != 0:
        raise StartFailed(f"Docker workers cannot be used: {done.stderr.strip()[-1000:]}")
    return done.stdout.strip()


def stop_workers(places: DataDir, environ: Mapping[str, str]) -> None:
    """Their volumes stay. An engine that does not answer has stopped them already, or will be asked next time."""
    if wants_docker(environ):
        _deployment(places, environ, "stop")


def worker_environment(
    places: DataDir, environ: Mapping[str, str], *, gateway: str | None, port: int
) -> dict[str, str]:
    """What all programs of the control plane are told about workers; `port` is the API's."""
    if gateway is None:
        return {"WORKER_HOST": environ.get("WORKER_HOST") or "process"}
    return {
        "WORKER_HOST": "docker",
        "WORKER_DEPLOYMENT": deployment_of(places, environ),
        "RUNYARD_WORKER_BIND": gateway,
        "RUNYARD_CALLBACK_URL": environ.get("RUNYARD_CALLBACK_URL") or f"http://{gateway}:{port}",
    }


def _deployment(places: DataDir, environ: Mapping[str, str], what: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jobs.hosts.deployment", what],
        cwd=CLONE,
        env={**environ, "WORKER_DEPLOYMENT": deployment_of(places, environ)},
        capture_output=True,
        text=True,
        timeout=ENGINE_SECONDS,
        check=False,
    )
