"""Call the container engine through its SDK: retry calls, and return plain values.

A call retries while the container engine is away for a moment. It raises HostFailed with a sentence when the container
engine stays away or refuses.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import docker
import requests
import stamina
from docker.errors import APIError, DockerException, NotFound
from docker.types import IPAMConfig, IPAMPool

from jobs.hosts import HostFailed

ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0
CALL_SECONDS = 60
CONNECTIONS = 20
CONFLICT, SERVER_ERROR = 409, 500

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container as the engine lists it. `exit_code` and `out_of_memory` describe its last end."""

    id: str
    name: str
    labels: Mapping[str, str]
    is_running: bool
    port: tuple[str, int] | None
    exit_code: int
    out_of_memory: bool


@dataclass(frozen=True)
class Volume:
    name: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class ContainerNetwork:
    """A network. `gateway` is the machine's address in it, as containers see it."""

    name: str
    gateway: str


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """The container engine's report on itself; `limits_missing` names the limits that it cannot set."""

    version: str
    limits_missing: list[str]
    has_seccomp: bool


class NameTaken(HostFailed):
    """Another process has just created an object of this name."""


class DockerClient:
    """A client that finds the container engine by DOCKER_HOST and its like. Every call raises HostFailed."""

    def __init__(self, *, connections: int = CONNECTIONS) -> None:
        """`connections` are kept open for calls at the same time."""
        self._client: Any = None
        self._connections = connections
        self._lock = threading.Lock()

    def info(self) -> EngineInfo:
        info = self._call(lambda client: client.api.info())
        limits = {"memory": "MemoryLimit", "processes": "PidsLimit", "processors": "CpuCfsQuota"}
        return EngineInfo(
            version=str(info["ServerVersion"]),
            limits_missing=[name for name, key in limits.items() if not info.get(key)],
            has_seccomp=any("seccomp" in option for option in info.get("SecurityOptions") or []),
        )

    def has_image(self, name: str) -> bool:
        try:
            self._call(lambda client: client.api.inspect_image(name))
        except _Absent:
            return False
        return True

    def containers(self, labels: Mapping[str, str]) -> list[Container]:
        """List the containers with all these labels, running or not."""
        listed = self._call(lambda client: client.api.containers(all=True, filters=_by(labels)))
        inspected = [self.container(entry["Id"]) for entry in listed]
        return [container for container in inspected if container is not None]

    def running(self, labels: Mapping[str, str]) -> list[Mapping[str, str]]:
        """Return the labels of each running container with these labels, in one quick call."""
        return [container["Labels"] for container in self._running(labels)]

    def running_ids(self, labels: Mapping[str, str]) -> list[str]:
        """Return the id of each running container with these labels, in one quick call."""
        return [container["Id"] for container in self._running(labels)]

    def container(self, name: str) -> Container | None:
        try:
            return _container(self._call(lambda client: client.api.inspect_container(name)))
        except _Absent:
            return None

    def create_container(self, image: str, **options: Any) -> str:
        """Create a container and return its id. Raise NameTaken when the name exists."""
        created = self._call(lambda client: client.containers.create(image, **options))
        return str(created.id)

    def start(self, name: str, *, stdin: Callable[[], bytes]) -> None:
        """Start the container, then call `stdin` and send its result as the whole standard input."""
        raw = self._call(lambda client: client.api.attach_socket(name, params={"stdin": 1, "stream": 1}))
        connection = getattr(raw, "_sock", raw)
        try:
            self._call(lambda client: client.api.start(name))
            connection.sendall(stdin())
        except OSError as error:
            raise HostFailed(f"The container did not receive its settings: {error}.") from None
        finally:
            connection.close()
            raw.close()

    def run_to_end(self, image: str, *, seconds: float, **options: Any) -> tuple[int, str]:
        """Run a short command in its own container and remove it. Return the status and the last output line."""
        self.remove_container(options["name"])
        container_id = self.create_container(image, **options)
        try:
            self._call(lambda client: client.api.start(container_id))
            status = self._call(lambda client: client.api.wait(container_id, timeout=seconds))["StatusCode"]
            return status, self.last_log_line(container_id)
        finally:
            self.remove_container(container_id)

    def stop(self, name: str, *, seconds: float) -> None:
        """Stop the container in order within `seconds`, then kill it. Do nothing without a container."""
        self._unless_absent(lambda client: client.api.stop(name, timeout=int(seconds)))

    def remove_container(self, name: str) -> None:
        self._unless_absent(lambda client: client.api.remove_container(name, force=True))

    def last_log_line(self, name: str) -> str:
        """Return the last line of the container's output; an empty string without output."""
        try:
            output = self._call(lambda client: client.api.logs(name, tail=5))
        except HostFailed:
            return ""
        lines = output.decode(errors="replace").strip().splitlines()
        return lines[-1][-500:] if lines else ""

    def volumes(self, labels: Mapping[str, str]) -> list[Volume]:
        listed = self._call(lambda client: client.api.volumes(filters=_by(labels)))
        return [Volume(entry["Name"], entry["Labels"] or {}) for entry in listed["Volumes"] or []]

    def create_volume(self, name: str, *, labels: Mapping[str, str], options: Mapping[str, str]) -> None:
        """Create a volume unless it exists."""
        self._call(lambda client: client.volumes.create(name, labels=dict(labels), driver_opts=dict(options)))

    def remove_volume(self, name: str) -> None:
        self._unless_absent(lambda client: client.api.remove_volume(name, force=True))

    def network(self, name: str) -> ContainerNetwork | None:
        try:
            network = self._call(lambda client: client.api.inspect_network(name))
        except _Absent:
            return None
        pools = network["IPAM"]["Config"] or [{}]
        return ContainerNetwork(name, pools[0].get("Gateway") or _first_address(pools[0].get("Subnet", "")))

    def create_network(self, name: str, *, subnet: str, labels: Mapping[str, str], options: Mapping[str, str]) -> None:
        ipam = IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)]) if subnet else None
        self._call(
            lambda client: client.networks.create(
                name, driver="bridge", check_duplicate=True, labels=dict(labels), options=dict(options), ipam=ipam
            )
        )

    def remove_network(self, name: str) -> None:
        self._unless_absent(lambda client: client.api.remove_network(name))

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _running(self, labels: Mapping[str, str]) -> list[Mapping[str, Any]]:
        filters = {**_by(labels), "status": ["running", "paused", "restarting"]}
        listed: list[Mapping[str, Any]] = self._call(lambda client: client.api.containers(filters=filters))
        return listed

    def _unless_absent(self, call: Callable[[Any], object]) -> None:
        try:
            self._call(call)
        except _Absent:
            return

    def _call(self, call: Callable[[Any], T]) -> T:
        """Call the container engine; retry with growing pauses while it is away or fails."""
        try:
            for attempt in stamina.retry_context(
                on=_can_help, attempts=ATTEMPTS, wait_initial=FIRST_PAUSE_SECONDS, wait_max=LONGEST_PAUSE_SECONDS
            ):
                with attempt:
                    return call(self._connected())
        except NotFound as error:
            raise _Absent(_explained(error)) from None
        except APIError as error:
            kind = NameTaken if error.status_code == CONFLICT else HostFailed
            raise kind(f"The container engine refused: {_explained(error)}") from None
        except (DockerException, requests.RequestException, OSError) as error:
            self.close()
            raise HostFailed(f"The container engine does not answer: {_shortened(error)}") from None
        raise AssertionError("the last attempt returns or raises")

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = docker.from_env(timeout=CALL_SECONDS, max_pool_size=self._connections)
            return self._client


class _Absent(HostFailed):
    """The requested object does not exist."""


def _can_help(error: Exception) -> bool:
    if isinstance(error, APIError):
        return bool(error.status_code and error.status_code > SERVER_ERROR)
    return isinstance(error, DockerException | requests.RequestException | OSError)


def _by(labels: Mapping[str, str]) -> dict[str, list[str]]:
    return {"label": [f"{name}={value}" for name, value in labels.items()]}


def _container(inspected: Any) -> Container:
    state, ports = inspected["State"], inspected["NetworkSettings"]["Ports"] or {}
    bound = next((bindings[0] for bindings in ports.values() if bindings), None)
    return Container(
        id=inspected["Id"],
        name=inspected["Name"].removeprefix("/"),
        labels=inspected["Config"]["Labels"] or {},
        is_running=bool(state["Running"]),
        port=(bound["HostIp"], int(bound["HostPort"])) if bound else None,
        exit_code=int(state["ExitCode"]),
        out_of_memory=bool(state.get("OOMKilled")),
    )


def _first_address(subnet: str) -> str:
    import ipaddress

    return str(next(ipaddress.ip_network(subnet).hosts())) if subnet else ""


def _explained(error: APIError) -> str:
    return _shortened(error.explanation or error)


def _shortened(error: object) -> str:
    return str(error)[:500].rstrip(".") + "."
