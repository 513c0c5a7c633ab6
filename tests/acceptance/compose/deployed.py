"""A Compose project of docker-compose.yml, with names, ports and secrets of its own."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.compose.images import CONTROL_PLANE, JOB_WORKER, POSTGRES, ROOT, STORE
from tests.acceptance.stack import free_port
from tests.container_engine import IMAGE
from tests.model_server.providers import scripted_environment, scripted_providers

COMPOSE = Path(sys.executable).with_name("docker-compose")
SECONDS = 300
SECRETS = ("RUNYARD_SECRET_KEY", "POSTGRES_PASSWORD", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY")


@dataclass(frozen=True)
class Deployed:
    """`folder` stands for the user's: it has no runyard.env, agents.env and .env of a developer."""

    project: str
    folder: Path
    environ: dict[str, str] = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environ['RUNYARD_PORT']}"

    @property
    def gateway(self) -> str:
        return self.environ["WORKER_GATEWAY"]

    def port(self, name: str) -> int:
        return int(self.environ[name])

    def compose(self, *arguments: str) -> str:
        """Run a command of Compose and return what it printed to stdout."""
        files = [ROOT / "docker-compose.yml", *self.folder.glob("*.yml")]
        of_project = ["--project-directory", str(self.folder), "--project-name", self.project]
        command = [str(COMPOSE), *(f"--file={file}" for file in files), *of_project, *arguments]
        done = subprocess.run(
            command, env=self.environ, cwd=self.folder, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, f"{arguments}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def up(self, *arguments: str) -> None:
        self.compose("up", "--detach", "--no-build", "--pull", "never", *arguments)

    def use_model(self, address: str) -> None:
        """Have the three real agents ask the scripted model there, as a user's own files would."""
        self.folder.joinpath("providers.toml").write_text(scripted_providers(address))
        variables = scripted_environment(address).items()
        self.folder.joinpath("agents.env").write_text("".join(f"{name}={value}\n" for name, value in variables))
        mounted = "./providers.toml:/srv/runyard/providers.toml:ro"
        self.folder.joinpath("own.yml").write_text(f"services: {{worker: {{volumes: ['{mounted}']}}}}\n")

    def is_ready(self) -> bool:
        try:
            told = httpx.get(f"{self.url}/ready", timeout=5).json()
        except (httpx.HTTPError, ValueError):
            return False
        return (told.get("runs"), told.get("providers")) == ("ok", "ok")

    def logs(self) -> str:
        return self.compose("logs", "--no-color", "--tail", "40")


def new_project(client: Any, folder: Path) -> Deployed:
    """Choose what no other project on this machine has. Nothing is started."""
    socket = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    if not COMPOSE.exists():
        pytest.skip("Compose is not installed: make dev")
    project, subnet = f"test-{secrets.token_hex(6)}", _free_subnet(client)
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_HOST") if name in os.environ}
    environ |= {name: secrets.token_hex(32) for name in SECRETS}
    environ |= {
        "RUNYARD_IMAGE": CONTROL_PLANE,
        "RUNYARD_WORKER_IMAGE": JOB_WORKER,
        "POSTGRES_IMAGE": POSTGRES,
        "RUSTFS_IMAGE": STORE,
        "EXECUTOR_IMAGE": IMAGE,
        "DOCKER_SOCKET": socket,
        "DOCKER_GID": str(Path(socket).stat().st_gid),
        "WORKER_SUBNET": f"{subnet}.0/24",
        "WORKER_GATEWAY": f"{subnet}.1",
    }
    ports = ("RUNYARD_PORT", "POSTGRES_PORT", "STORE_PORT", "WORKER_PORT")
    return Deployed(project, folder, environ | {name: str(free_port()) for name in ports})


def _free_subnet(client: Any) -> str:
    """The first three numbers of a private network's addresses that no network of this engine has."""
    taken = str([network.attrs["IPAM"] for network in client.networks.list()])
    free = [prefix for number in range(100, 250) if f"{(prefix := f'172.30.{number}')}." not in taken]
    return secrets.choice(free)
