"""The Docker host: a session's executor in a container of its own, its workspace on volumes that outlive it.

A container is made anew at each start and holds nothing; the place of a session's workspace are its three volumes. All
that is ours carries the deployment's label, so that two deployments on one engine never touch each other's.
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
from jobs.hosts.container import PORT, Box, Furniture, box_options, cutter_options
from jobs.hosts.deployment import DiskLimit, disk_limited_by, ensure_network, labels_of
from jobs.hosts.docker_client import Container, DockerClient, NameTaken
from jobs.runtime.executor_client import Endpoint, ExecutorClient, ExecutorError
from schema.executor_api import ExecutorHealth
from schema.logs import log_context
from schema.signature import executor_token
from schema.worker_limits import WorkerLimits

STARTS_AT_ONCE = 4
FIRST_POLL_SECONDS = 0.02
LONGEST_POLL_SECONDS = 0.2
CUT_OFF_SECONDS = 30.0
SESSION, EPOCH = "runyard.session", "runyard.epoch"
KEPT = ("workspace", "agent")
"""The volumes without which a place is not the session's any more; its state can be made anew."""

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class DockerHostSettings:
    """`deployment` is the label; `furnish` says what an executor is given besides its own settings, anew at each start;
    `limits_of` an app's limits, `limits` what holds where it has none; `cut_off` are networks out of reach."""

    deployment: str
    image: str
    secret: bytes
    furnish: Callable[[], Furniture]
    limits_of: Callable[[UUID], WorkerLimits]
    limits: WorkerLimits
    publish_address: str = "127.0.0.1"
    subnet: str = ""
    cut_off: tuple[str, ...] = ()
    start_timeout_seconds: float = 60.0
    stop_seconds: float = 20.0


class DockerHost:
    """Knows nothing that the engine does not: a job worker that is started anew goes on where the last one was."""

    name = "docker"

    def __init__(self, settings: DockerHostSettings, *, executors: ExecutorClient, engine: DockerClient) -> None:
        self._settings = settings
        self._executors = executors
        self._engine = engine
        self._starts = threading.BoundedSemaphore(STARTS_AT_ONCE)
        self._disk_limit: DiskLimit | None = None

    def ensure_started(self, session_id: UUID, epoch: int) -> Endpoint:
        with log_context(sessionId=session_id), self._starts:
            containers = self._containers(session_id)
            if any(_epoch(one.labels) > epoch for one in containers):
                raise HostFailed("The session's worker is of a newer epoch already.", code="stale_epoch")
            for one in containers:
                if _epoch(one.labels) == epoch and self._health(one) is not None:
                    return self._endpoint(one)
                self._clear_away(one, is_older=_epoch(one.labels) < epoch)
            return self._start(session_id, epoch)

    def facts(self, session_id: UUID) -> HostFacts:
        epoch = self._place_epoch(session_id)
        if epoch is None:
            return GONE
        found = self._engine.container(self._name(session_id, epoch))
        if found is None or not found.is_running:
            return HostFacts("dead", place_epoch=epoch)
        if self._health(found) is None:
            return HostFacts("silent", place_epoch=epoch)
        return HostFacts("alive", self._endpoint(found), place_epoch=epoch)

    def is_dead(self, session_id: UUID) -> bool:
        try:
            return not self._engine.running(self._labels(session_id))
        except HostFailed:
            return False  # an engine that does not answer proves nothing

    def stop(self, session_id: UUID) -> None:
        for one in self._containers(session_id):
            if one.is_running:
                self._engine.stop(one.name, seconds=self._settings.stop_seconds)

    def remove(self, session_id: UUID) -> None:
        self.stop(session_id)
        for one in self._containers(session_id):
            self._engine.remove_container(one.name)
        for volume in self._engine.volumes(self._labels(session_id)):
            self._engine.remove_volume(volume.name)

    def sessions(self) -> Mapping[UUID, bool]:
        running = {one[SESSION] for one in self._engine.running(self._labels())}
        places = {one.labels[SESSION] for one in self._engine.volumes(self._labels())}
        return {UUID(session): session in running for session in places | running}

    def look_after(self) -> None:
        """Nothing: containers need nobody to reap them."""

    def disk_limited_by(self) -> DiskLimit:
        """Whether the engine can hold a volume to a size, or the executor has to watch it. Tried out once."""
        if self._disk_limit is None:
            self._disk_limit = disk_limited_by(self._engine, self._settings.deployment)
        return self._disk_limit

    def _start(self, session_id: UUID, epoch: int) -> Endpoint:
        began = time.monotonic()
        name = self._name(session_id, epoch)
        box = self._box(session_id, epoch)
        for kind, volume in box.volumes.items():
            self._engine.create_volume(volume, labels=box.labels, options=self._volume_options(kind, box.limits))
        try:
            self._engine.create_container(self._settings.image, **box_options(box))
        except NameTaken:
            raise HostFailed("The session's worker is being started by another.") from None
        except HostFailed as error:
            raise self._with_image_hint(error) from None
        try:
            self._engine.start(name, stdin=lambda: self._given(session_id, epoch, box.limits))
            endpoint = self._wait_until_healthy(name)
        except HostFailed:
            self._engine.remove_container(name)
            raise
        _log.info("container.started", container=name, seconds=round(time.monotonic() - began, 3))
        return endpoint

    def _given(self, session_id: UUID, epoch: int, limits: WorkerLimits) -> bytes:
        """What the executor waits for, once nothing out of bounds can be reached from its container."""
        self._cut_off(self._name(session_id, epoch))
        furniture = self._settings.furnish()
        settings = {
            **furniture.settings,
            "EXECUTOR_AUTH_TOKEN": self._token(session_id, epoch),
            "EXECUTOR_SESSION_ID": str(session_id),
            "EXECUTOR_EPOCH": str(epoch),
            "EXECUTOR_HOST": "0.0.0.0",  # noqa: S104  of the container; the engine publishes it on one address only
            "EXECUTOR_PORT": str(PORT),
            "EXECUTOR_DISK_BYTES": str(limits.disk_bytes or 0),
        }
        files = {path: base64.b64encode(content).decode() for path, content in furniture.files.items()}
        return json.dumps({"settings": settings, "files": files}).encode() + b"\n"

    def _cut_off(self, name: str) -> None:
        """By a container that shares the worker's network and, unlike the worker, has a power over it."""
        if not self._settings.cut_off:
            return
        options = cutter_options(name, self._settings.cut_off)
        status, said = self._engine.run_to_end(self._settings.image, seconds=CUT_OFF_SECONDS, **options)
        if status != 0:
            raise HostFailed(f"The worker could not be cut off from {', '.join(self._settings.cut_off)}: {said}")

    def _wait_until_healthy(self, name: str) -> Endpoint:
        deadline = time.monotonic() + self._settings.start_timeout_seconds
        pause = FIRST_POLL_SECONDS
        while True:
            found = self._engine.container(name)
            if found is None or not found.is_running:
                words = self._engine.last_words(name) if found else "its container was removed"
                raise HostFailed(f"The executor ended while starting: {words}")
            if self._health(found) is not None:
                return self._endpoint(found)
            if time.monotonic() > deadline:
                raise HostFailed(f"The executor was not up within {self._settings.start_timeout_seconds:g} s.")
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_POLL_SECONDS)

    def _clear_away(self, container: Container, *, is_older: bool) -> None:
        """Its volumes stay. A silent one ends by force. How one ended by itself is worth a line: nobody can ask it."""
        if container.is_running and is_older:
            self._engine.stop(container.name, seconds=self._settings.stop_seconds)
        elif not container.is_running and container.exit_code != 0:
            _log.warning(
                "container.had_ended",
                container=container.name,
                status=container.exit_code,
                out_of_memory=container.out_of_memory,
                last_words=self._engine.last_words(container.name),
            )
        self._engine.remove_container(container.name)

    def _box(self, session_id: UUID, epoch: int) -> Box:
        name = self._name(session_id, epoch)
        return Box(
            name=name,
            labels={**self._labels(session_id), EPOCH: str(epoch)},
            network=ensure_network(self._engine, self._settings.deployment, subnet=self._settings.subnet).name,
            publish_address=self._settings.publish_address,
            limits=_filled(self._settings.limits_of(session_id), self._settings.limits),
            volumes={kind: f"{name}-{kind}" for kind in (*KEPT, "state")},
        )

    def _volume_options(self, kind: str, limits: WorkerLimits) -> dict[str, str]:
        if kind not in KEPT or limits.disk_bytes is None or self.disk_limited_by() == "watch":
            return {}
        return {"size": str(limits.disk_bytes)}

    def _place_epoch(self, session_id: UUID) -> int | None:
        """The newest epoch of which all that must not be lost is there."""
        names = {one.name: _epoch(one.labels) for one in self._engine.volumes(self._labels(session_id))}
        whole = [
            epoch
            for epoch in set(names.values())
            if all(f"{self._name(session_id, epoch)}-{kind}" in names for kind in KEPT)
        ]
        return max(whole, default=None)

    def _containers(self, session_id: UUID) -> list[Container]:
        return self._engine.containers(self._labels(session_id))

    def _health(self, container: Container) -> ExecutorHealth | None:
        """Of the executor in it; None when it does not answer, or is another's."""
        if not container.is_running or container.port is None:
            return None
        try:
            health = self._executors.health(_base_url(container.port))
        except ExecutorError:
            return None
        mine = (str(health.session_id), health.epoch) == (container.labels[SESSION], _epoch(container.labels))
        return health if mine else None

    def _endpoint(self, container: Container) -> Endpoint:
        if container.port is None:
            raise HostFailed("The session's container has no port.")
        session_id, epoch = UUID(container.labels[SESSION]), _epoch(container.labels)
        return Endpoint(_base_url(container.port), self._token(session_id, epoch))

    def _token(self, session_id: UUID, epoch: int) -> str:
        return executor_token(self._settings.secret, session_id=session_id, epoch=epoch)

    def _name(self, session_id: UUID, epoch: int) -> str:
        return f"{self._settings.deployment}-{session_id}-{epoch}"

    def _labels(self, session_id: UUID | None = None) -> dict[str, str]:
        labels = labels_of(self._settings.deployment)
        return labels if session_id is None else {**labels, SESSION: str(session_id)}

    def _with_image_hint(self, error: HostFailed) -> HostFailed:
        if "no such image" not in error.detail.lower():
            return error
        return HostFailed(f"The image {self._settings.image} is not there: build it with make executor-image.")


def _filled(limits: WorkerLimits, defaults: WorkerLimits) -> WorkerLimits:
    return defaults.model_copy(update=limits.model_dump(exclude_none=True))


def _epoch(labels: Mapping[str, str]) -> int:
    return int(labels.get(EPOCH, "0"))


def _base_url(port: tuple[str, int]) -> str:
    return f"http://{port[0]}:{port[1]}"
