"""One control plane for all fault tests of a test process, on one PostgreSQL version; each test leaves it checked.

A test after which it cannot be brought to rest has broken it: the next test gets a new one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.acceptance.faults.plane import Plane, running_plane
from tests.acceptance.talk import Talk
from tests.databases import EMBEDDED, OLDEST, ServerOf
from tests.model_server.starter import ModelServer


class Planes:
    """The present one of each PostgreSQL version, made when it is needed."""

    def __init__(self, make: Callable[[int, ExitStack], Plane]) -> None:
        self._make = make
        self._stacks: defaultdict[int, ExitStack] = defaultdict(ExitStack)
        self._present: dict[int, Plane] = {}

    def present(self, version: int) -> Plane:
        if version not in self._present:
            self._present[version] = self._make(version, self._stacks[version])
        return self._present[version]

    def give_up(self, version: int) -> None:
        self._present.pop(version, None)
        self._stacks[version].close()


@pytest.fixture(scope="session")
def planes(
    server_of: ServerOf, scripted_model: ModelServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Planes]:
    def make(version: int, stack: ExitStack) -> Plane:
        server = server_of(version)
        name = server.create_database()
        stack.callback(server.drop_database, name)
        folder = tmp_path_factory.mktemp("plane")
        return stack.enter_context(running_plane(server.dsn(name), folder, model_url=scripted_model.url))

    planes = Planes(make)
    yield planes
    for version in (EMBEDDED, OLDEST):
        planes.give_up(version)


@pytest.fixture
def plane(planes: Planes, postgres_version: int) -> Iterator[Plane]:
    """Well at the beginning; at the end it is well again, at rest, and the checker finds nothing."""
    present = planes.present(postgres_version)
    try:
        present.make_well()
        yield present
        present.make_well()
        present.check()
    except BaseException:
        planes.give_up(postgres_version)
        raise


@pytest.fixture
def talk(plane: Plane) -> Iterator[Talk]:
    with plane.talk() as talking:
        yield talking
        talking.stop_what_lives()
