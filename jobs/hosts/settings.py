"""Settings of Docker workers. The job worker reads them once if WORKER_HOST is docker."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from schema.settings import BadSetting, fault_sentence
from schema.worker_limits import MEBIBYTE, WorkerLimits


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(ipaddress.ip_network(network)) for network in value)


def _loopback_or_private(value: str) -> str:
    address = ipaddress.ip_address(value)
    if address.is_unspecified or not (address.is_loopback or address.is_private):
        raise ValueError("use a loopback or private address of this machine")
    return value


def _network_or_none(value: str) -> str:
    return str(ipaddress.ip_network(value)) if value else value


Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_networks)]


class DockerSettings(BaseSettings):
    """Limits are those of a worker whose app sets none, within those of apps (WorkerLimits); sizes in MiB."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    executor_image: str = Field(
        default="runyard-executor", description="Image of session workers. `make executor-image` builds it."
    )
    worker_deployment: str = Field(
        default="runyard",
        pattern=r"^[a-z0-9][a-z0-9-]{0,40}$",
        description="Label and name prefix of all containers, volumes and networks of this deployment. Give each "
        "deployment on one container engine its own.",
    )
    worker_compose_project: str = Field(
        default="",
        description="Compose project of the job worker. When it is told to end and the project's service `api` does "
        "not run, it stops all session workers.",
        json_schema_extra={"default": "none; Compose ends none"},
    )
    worker_publish_address: Annotated[str, AfterValidator(_loopback_or_private)] = Field(
        default="127.0.0.1",
        description="Address of this machine on which the ports of session workers are published: loopback or a "
        "private one.",
    )
    worker_subnet: Annotated[str, AfterValidator(_network_or_none)] = Field(
        default="",
        description="Subnet of the session workers' network.",
        json_schema_extra={"default": "chosen by the container engine"},
    )
    worker_cut_off: Networks = Field(
        default=("169.254.0.0/16",),
        description="Networks that session workers cannot reach. The default holds the cloud's metadata address.",
    )
    worker_cpus: float = Field(
        default=2, ge=0.1, le=256, description="Give a session worker N processors, unless its app's limits say."
    )
    worker_memory_mib: int = Field(
        default=4096, ge=256, le=4096 * 1024, description="Limit its memory to N MiB, unless its app's limits say."
    )
    worker_processes: int = Field(
        default=1024, ge=32, le=100_000, description="Limit its processes and threads, unless its app's limits say."
    )
    worker_disk_mib: int = Field(
        default=20_480,
        ge=64,
        le=16 * 1024 * 1024,
        description="Limit its workspace and home together to N MiB, unless its app's limits say.",
    )

    @property
    def limits(self) -> WorkerLimits:
        return WorkerLimits(
            cpus=self.worker_cpus,
            memory_bytes=self.worker_memory_mib * MEBIBYTE,
            processes=self.worker_processes,
            disk_bytes=self.worker_disk_mib * MEBIBYTE,
        )


def read_docker_settings() -> DockerSettings:
    """From the environment. Raises BadSetting."""
    from_environment: dict[str, Any] = {}
    try:
        return DockerSettings(**from_environment)
    except ValidationError as error:
        raise BadSetting(fault_sentence(error, DockerSettings)) from None
