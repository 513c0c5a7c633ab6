"""The Docker host: run a session's executor in its own container, on volumes that outlive the container.

Each start creates a new container, which holds no data. Three volumes hold a session's workspace, home and state. All
containers, volumes and networks carry the deployment's label, so that two deployments on one container engine never
touch each other's.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

import structlog

from jobs.hosts import GONE, HostFacts, HostFailed
from jobs.hosts.container import PORT, ContainerSpec, ExecutorInputs, container_options, egress_block_options
from jobs.hosts.deployment import DiskLimit, disk_limited_by, ensure_network, labels_of
from jobs.hosts.docker_client import Container, DockerClient, NameTaken
from jobs.hosts.executor_tokens import ExecutorTokens
from jobs.runtime.executor_client import Endpoint, ExecutorClient, ExecutorError
from schema.executor_api import ExecutorHealth
from schema.logs import log_context
from schema.secret_keys import SecretKeys
from schema.worker_limits import WorkerLimits

STARTS_AT_ONCE = 4
FIRST_POLL_SECONDS = 0.02
LONGEST_POLL_SECONDS = 0.2
CUT_OFF_SECONDS = 30.0
SESSION, EPOCH = "runyard.session", "runyard.epoch"
DATA_VOLUMES = ("workspace", "agent")
"""The volumes that hold a session's data. The executor can create its state volume again."""

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class DockerHostSettings:
    """`deployment` is the label. The host calls `executor_inputs` at each start.

    `limits_of` returns an app's limits; `limits` are the defaults. Workers cannot reach the networks in `cut_off`.
    """

    deployment: str
    image: str
    keys: SecretKeys
    executor_inputs: Callable[[], ExecutorInputs]
    limits_of: Callable[[UUID], WorkerLimits]
    limits: WorkerLimits
    publish_address: str = "127.0.0.1"
    subnet: str = ""
    cut_off: tuple[str, ...] = ()
    start_timeout_seconds: float = 60.0
    stop_seconds: float = 20.0


class DockerHost:
    """Runs executors in containers. It keeps no state of its own, so a restarted job worker continues from there."""

    name = "docker"

    def __init__(self, settings: DockerHostSettings, *, executors: ExecutorClient, docker_client: DockerClient) -> None:
        self._settings = settings
        self._executors = executors
        self._docker = docker_client
        self._tokens = ExecutorTokens(settings.keys)
        self._starts = threading.BoundedSemaphore(STARTS_AT_ONCE)
        self._disk_limit: DiskLimit | None = None

    def ensure_started(self, session_id: UUID, epoch: int) -> Endpoint:
        with log_context(sessionId=session_id), self._starts:
            containers = self._containers(session_id)
            if any(_epoch(container.labels) > epoch for container in containers):
                raise HostFailed("The session's worker already has a newer epoch.", code="stale_epoch")
            for container in containers:
                health = self._health(container) if _epoch(container.labels) == epoch else None
                if health is not None:
                    return self._endpoint(container, health)
                self._remove_old_container(container, is_older=_epoch(container.labels) < epoch)
            return self._start(session_id, epoch)

    def facts(self, session_id: UUID) -> HostFacts:
        epoch = self._volume_epoch(session_id)
        if epoch is None:
            return GONE
        container = self._docker.container(self._name(session_id, epoch))
        if container is None or not container.is_running:
            return HostFacts("dead", volume_epoch=epoch)
        health = self._health(container)
        if health is None:
            return HostFacts("silent", volume_epoch=epoch)
        return HostFacts("alive", self._endpoint(container, health), volume_epoch=epoch)

    def is_dead(self, session_id: UUID) -> bool:
        try:
            return not self._docker.running(self._labels(session_id))
        except HostFailed:
            return False  # a container engine that does not answer proves no executor dead

    def progress(self, session_id: UUID) -> None:
        """Return None: the engine counts all processes of a container together."""

    def stop(self, session_id: UUID) -> None:
        for container in self._containers(session_id):
            if container.is_running:
                self._docker.stop(container.name, seconds=self._settings.stop_seconds)

    def remove(self, session_id: UUID) -> None:
        self.stop(session_id)
        for container in self._containers(session_id):
            self._docker.remove_container(container.name)
        for volume in self._docker.volumes(self._labels(session_id)):
            self._docker.remove_volume(volume.name)

    def sessions(self) -> Mapping[UUID, bool]:
        running = {labels[SESSION] for labels in self._docker.running(self._labels())}
        with_volumes = {volume.labels[SESSION] for volume in self._docker.volumes(self._labels())}
        return {UUID(session): session in running for session in with_volumes | running}

    def fault(self) -> str | None:
        try:
            if self._docker.has_image(self._settings.image):
                return None
        except HostFailed as error:
            return error.detail
        return f"The container engine has no image {self._settings.image}. Run make executor-image."

    def look_after(self) -> None:
        """Do nothing: the container engine reaps containers."""

    def disk_limited_by(self) -> DiskLimit:
        """Try once whether the container engine can limit a volume's size. If not, the executor watches it."""
        if self._disk_limit is None:
            self._disk_limit = disk_limited_by(self._docker, self._settings.deployment)
        return self._disk_limit

    def _start(self, session_id: UUID, epoch: int) -> Endpoint:
        began = time.monotonic()
        name = self._name(session_id, epoch)
        spec = self._container_spec(session_id, epoch)
        for kind, volume in spec.volumes.items():
            self._docker.create_volume(volume, labels=spec.labels, options=self._volume_options(kind, spec.limits))
        try:
            self._docker.create_container(self._settings.image, **container_options(spec))
        except NameTaken:
            raise HostFailed("Another job worker is starting the session's worker.") from None
        except HostFailed as error:
            raise self._with_image_hint(error) from None
        try:
            self._docker.start(name, stdin=lambda: self._stdin_settings(session_id, epoch, spec.limits))
            endpoint = self._wait_until_healthy(name)
        except HostFailed:
            self._docker.remove_container(name)
            raise
        _log.info("container.started", container=name, seconds=round(time.monotonic() - began, 3))
        return endpoint

    def _stdin_settings(self, session_id: UUID, epoch: int, limits: WorkerLimits) -> bytes:
        """Block the networks out of bounds, then return the settings that the executor reads from stdin."""
        self._block_networks(self._name(session_id, epoch))
        inputs = self._settings.executor_inputs()
        settings = {
            **inputs.settings,
            "EXECUTOR_AUTH_TOKEN": self._tokens.new(session_id, epoch),
            "EXECUTOR_SESSION_ID": str(session_id),
            "EXECUTOR_EPOCH": str(epoch),
            "EXECUTOR_HOST": "0.0.0.0",  # noqa: S104  inside the container; the container engine publishes it on one address only
            "EXECUTOR_PORT": str(PORT),
            "EXECUTOR_DISK_BYTES": str(limits.disk_bytes or 0),
        }
        files = {path: base64.b64encode(content).decode() for path, content in inputs.files.items()}
        return json.dumps({"settings": settings, "files": files}).encode() + b"\n"

    def _block_networks(self, name: str) -> None:
        """Block networks from a helper container that shares the worker's network and may change its routes."""
        if not self._settings.cut_off:
            return
        options = egress_block_options(name, self._settings.cut_off)
        status, output = self._docker.run_to_end(self._settings.image, seconds=CUT_OFF_SECONDS, **options)
        if status != 0:
            raise HostFailed(
                f"The networks {', '.join(self._settings.cut_off)} could not be blocked for the worker: {output}"
            )

    def _wait_until_healthy(self, name: str) -> Endpoint:
        deadline = time.monotonic() + self._settings.start_timeout_seconds
        pause = FIRST_POLL_SECONDS
        while True:
            container = self._docker.container(name)
            if container is None or not container.is_running:
                last_line = self._docker.last_log_line(name) if container else "its container was removed"
                raise HostFailed(f"The executor ended during its start: {last_line}")
            health = self._health(container)
            if health is not None:
                return self._endpoint(container, health)
            if time.monotonic() > deadline:
                raise HostFailed(
                    f"The executor did not answer within {self._settings.start_timeout_seconds:g} s of its start."
                )
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_POLL_SECONDS)

    def _remove_old_container(self, container: Container, *, is_older: bool) -> None:
        """Remove a container and keep its volumes. Kill a silent executor. Log how a container ended by itself."""
        if container.is_running and is_older:
            self._docker.stop(container.name, seconds=self._settings.stop_seconds)
        elif not container.is_running and container.exit_code != 0:
            _log.warning(
                "container.ended",
                container=container.name,
                status=container.exit_code,
                out_of_memory=container.out_of_memory,
                last_log_line=self._docker.last_log_line(container.name),
            )
        self._docker.remove_container(container.name)

    def _container_spec(self, session_id: UUID, epoch: int) -> ContainerSpec:
        name = self._name(session_id, epoch)
        return ContainerSpec(
            name=name,
            labels={**self._labels(session_id), EPOCH: str(epoch)},
            network=ensure_network(self._docker, self._settings.deployment, subnet=self._settings.subnet).name,
            publish_address=self._settings.publish_address,
            limits=_with_defaults(self._settings.limits_of(session_id), self._settings.limits),
            volumes={kind: f"{name}-{kind}" for kind in (*DATA_VOLUMES, "state")},
        )

    def _volume_options(self, kind: str, limits: WorkerLimits) -> dict[str, str]:
        if kind not in DATA_VOLUMES or limits.disk_bytes is None or self.disk_limited_by() == "watch":
            return {}
        return {"size": str(limits.disk_bytes)}

    def _volume_epoch(self, session_id: UUID) -> int | None:
        """Return the newest epoch with all of its data volumes; None when there is none."""
        names = {volume.name: _epoch(volume.labels) for volume in self._docker.volumes(self._labels(session_id))}
        complete = [
            epoch
            for epoch in set(names.values())
            if all(f"{self._name(session_id, epoch)}-{kind}" in names for kind in DATA_VOLUMES)
        ]
        return max(complete, default=None)

    def _containers(self, session_id: UUID) -> list[Container]:
        return self._docker.containers(self._labels(session_id))

    def _health(self, container: Container) -> ExecutorHealth | None:
        """Return the executor's health; None when it does not answer or serves another session or epoch."""
        if not container.is_running or container.port is None:
            return None
        try:
            health = self._executors.health(_base_url(container.port))
        except ExecutorError:
            return None
        mine = (str(health.session_id), health.epoch) == (container.labels[SESSION], _epoch(container.labels))
        return health if mine else None

    def _endpoint(self, container: Container, health: ExecutorHealth) -> Endpoint:
        if container.port is None:
            raise HostFailed("The session's container has no port.")
        return self._tokens.endpoint(_base_url(container.port), health.session_id, health)

    def _name(self, session_id: UUID, epoch: int) -> str:
        return f"{self._settings.deployment}-{session_id}-{epoch}"

    def _labels(self, session_id: UUID | None = None) -> dict[str, str]:
        labels = labels_of(self._settings.deployment)
        return labels if session_id is None else {**labels, SESSION: str(session_id)}

    def _with_image_hint(self, error: HostFailed) -> HostFailed:
        if "no such image" not in error.detail.lower():
            return error
        return HostFailed(f"The image {self._settings.image} does not exist. Build it with make executor-image.")


def _with_defaults(limits: WorkerLimits, defaults: WorkerLimits) -> WorkerLimits:
    return defaults.model_copy(update=limits.model_dump(exclude_none=True))


def _epoch(labels: Mapping[str, str]) -> int:
    return int(labels.get(EPOCH, "0"))


def _base_url(port: tuple[str, int]) -> str:
    return f"http://{port[0]}:{port[1]}"
