"""What Compose's end does to session workers: whether the API counts as there, and that all of them stop together."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Barrier

import pytest

from jobs.hosts.compose import ONE_OFF, has_service
from jobs.hosts.deployment import STOPPED_AT_ONCE, labels_of, stop_all
from jobs.hosts.docker_client import DockerClient

SECONDS = 60
LATE = "late"


class Engine(DockerClient):
    """Its containers wait for each other before they stop, except a late one. Each listing shows the next ids."""

    def __init__(self, *running: list[str]) -> None:
        super().__init__()
        self._listed = list(running)
        self._together = Barrier(len(running[0]))
        self.stopped: list[str] = []

    def running_ids(self, labels: Mapping[str, str]) -> list[str]:  # noqa: ARG002 - as the engine's
        return self._listed.pop(0)

    def stop(self, name: str, *, seconds: float) -> None:  # noqa: ARG002 - as the engine's
        if name != LATE:
            self._together.wait(SECONDS)
        self.stopped.append(name)


@pytest.mark.parametrize(
    ("containers", "is_there"),
    [([], False), ([{ONE_OFF: "True"}], False), ([{ONE_OFF: "False"}], True), ([{ONE_OFF: "True"}, {}], True)],
)
def test_a_container_for_one_command_is_not_the_service(containers: list[dict[str, str]], *, is_there: bool) -> None:
    assert has_service(containers) is is_there


def test_all_containers_stop_together_and_then_those_that_started_meanwhile() -> None:
    first = [str(number) for number in range(STOPPED_AT_ONCE)]
    engine = Engine(first, [LATE], [])

    assert stop_all(engine, labels_of("runyard")) == STOPPED_AT_ONCE + 1
    assert sorted(engine.stopped) == sorted([*first, LATE])
