"""The container engine, through its SDK: calls that are retried, and answers as plain values.

An engine that is away for a moment is waited for; one that stays away, or refuses, is one HostFailed with a sentence.
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
    """A container as the engine lists it. `exit_code` and `out_of_memory` are of its last end."""

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
    """`gateway` is the engine's own address in it: that of the machine, as containers see it."""

    name: str
    gateway: str


@dataclass(frozen=True, kw_only=True)
class About:
    """What an engine says of itself; `limits_missing` in words for people."""

    version: str
    limits_missing: list[str]
    has_seccomp: bool


class NameTaken(HostFailed):
    """Somebody else has just made what was to be made."""


class DockerClient:
    """Finds the engine as its other clients do: by DOCKER_HOST and its like. Every call raises HostFailed."""

    def __init__(self) -> None:
        self._client: Any = None
        self._lock = threading.Lock()

    def about(self) -> About:
        found = self._call(lambda client: client.api.info())
        wanted = {"memory": "MemoryLimit", "processes": "PidsLimit", "processors": "CpuCfsQuota"}
        return About(
            version=str(found["ServerVersion"]),
            limits_missing=[name for name, key in wanted.items() if not found.get(key)],
            has_seccomp=any("seccomp" in option for option in found.get("SecurityOptions") or []),
        )

    def has_image(self, name: str) -> bool:
        try:
            self._call(lambda client: client.api.inspect_image(name))
        except _Absent:
            return False
        return True

    def containers(self, labels: Mapping[str, str]) -> list[Container]:
        """Those that carry all these labels, running or not."""
        found = self._call(lambda client: client.api.containers(all=True, filters=_by(labels)))
        return [each for one in found if (each := self.container(one["Id"])) is not None]

    def running(self, labels: Mapping[str, str]) -> list[Mapping[str, str]]:
        """The labels of those that run now; one quick call."""
        filters = {**_by(labels), "status": ["running", "paused", "restarting"]}
        return [one["Labels"] for one in self._call(lambda client: client.api.containers(filters=filters))]

    def container(self, name: str) -> Container | None:
        try:
            return _container(self._call(lambda client: client.api.inspect_container(name)))
        except _Absent:
            return None

    def create_container(self, image: str, **options: Any) -> str:
        """Its id. NameTaken when there is one of that name."""
        created = self._call(lambda client: client.containers.create(image, **options))
        return str(created.id)

    def start(self, name: str, *, stdin: Callable[[], bytes]) -> None:
        """Start it with what `stdin` returns, called when it runs, as all of its standard input."""
        raw = self._call(lambda client: client.api.attach_socket(name, params={"stdin": 1, "stream": 1}))
        connection = getattr(raw, "_sock", raw)
        try:
            self._call(lambda client: client.api.start(name))
            connection.sendall(stdin())
        except OSError as error:
            raise HostFailed(f"The container could not be given its settings: {error}.") from None
        finally:
            connection.close()
            raw.close()

    def run_to_end(self, image: str, *, seconds: float, **options: Any) -> tuple[int, str]:
        """A short command in a container of its own, removed afterwards; its status and output."""
        self.remove_container(options["name"])
        made = self.create_container(image, **options)
        try:
            self._call(lambda client: client.api.start(made))
            status = self._call(lambda client: client.api.wait(made, timeout=seconds))["StatusCode"]
            return status, self.last_words(made)
        finally:
            self.remove_container(made)

    def stop(self, name: str, *, seconds: float) -> None:
        """In order if it can within `seconds`, else by force. Nothing happens if it is not there."""
        self._unless_absent(lambda client: client.api.stop(name, timeout=int(seconds)))

    def remove_container(self, name: str) -> None:
        self._unless_absent(lambda client: client.api.remove_container(name, force=True))

    def last_words(self, name: str) -> str:
        """The last line of its output; empty when there is none."""
        try:
            said = self._call(lambda client: client.api.logs(name, tail=5))
        except HostFailed:
            return ""
        lines = said.decode(errors="replace").strip().splitlines()
        return lines[-1][-500:] if lines else ""

    def volumes(self, labels: Mapping[str, str]) -> list[Volume]:
        found = self._call(lambda client: client.api.volumes(filters=_by(labels)))
        return [Volume(one["Name"], one["Labels"] or {}) for one in found["Volumes"] or []]

    def create_volume(self, name: str, *, labels: Mapping[str, str], options: Mapping[str, str]) -> None:
        """It may be there already."""
        self._call(lambda client: client.volumes.create(name, labels=dict(labels), driver_opts=dict(options)))

    def remove_volume(self, name: str) -> None:
        self._unless_absent(lambda client: client.api.remove_volume(name, force=True))

    def network(self, name: str) -> ContainerNetwork | None:
        try:
            found = self._call(lambda client: client.api.inspect_network(name))
        except _Absent:
            return None
        pools = found["IPAM"]["Config"] or [{}]
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

    def _unless_absent(self, call: Callable[[Any], object]) -> None:
        try:
            self._call(call)
        except _Absent:
            return

    def _call(self, call: Callable[[Any], T]) -> T:
        """Repeated while the engine is away or stumbles, with growing pauses."""
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
                self._client = docker.from_env(timeout=CALL_SECONDS, max_pool_size=CONNECTIONS)
            return self._client


class _Absent(HostFailed):
    """What was asked for is not there."""


def _can_help(error: Exception) -> bool:
    if isinstance(error, APIError):
        return bool(error.status_code and error.status_code > SERVER_ERROR)
    return isinstance(error, DockerException | requests.RequestException | OSError)


def _by(labels: Mapping[str, str]) -> dict[str, list[str]]:
    return {"label": [f"{name}={value}" for name, value in labels.items()]}


def _container(found: Any) -> Container:
    state, ports = found["State"], found["NetworkSettings"]["Ports"] or {}
    bound = next((one[0] for one in ports.values() if one), None)
    return Container(
        id=found["Id"],
        name=found["Name"].removeprefix("/"),
        labels=found["Config"]["Labels"] or {},
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
