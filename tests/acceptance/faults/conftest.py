"""One control plane for all fault tests of a test process; each test finds it well and leaves it checked.

A test after which it cannot be brought to rest has broken it: the next test gets a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.acceptance.faults.plane import Plane, running_plane
from tests.acceptance.talk import Talk
from tests.databases import EMBEDDED, ServerOf
from tests.model_server.starter import ModelServer


class Planes:
    """The present one, made when it is needed."""

    def __init__(self, make: Callable[[ExitStack], Plane]) -> None:
        self._make = make
        self._stack = ExitStack()
        self._present: Plane | None = None

    def present(self) -> Plane:
        if self._present is None:
            self._present = self._make(self._stack)
        return self._present

    def give_up(self) -> None:
        self._present = None
        self._stack.close()


@pytest.fixture(scope="session")
def planes(
    server_of: ServerOf, scripted_model: ModelServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Planes]:
    server = server_of(EMBEDDED)

    def make(stack: ExitStack) -> Plane:
        name = server.create_database()
        stack.callback(server.drop_database, name)
        folder = tmp_path_factory.mktemp("plane")
        return stack.enter_context(running_plane(server.dsn(name), folder, model_url=scripted_model.url))

    planes = Planes(make)
    yield planes
    planes.give_up()


@pytest.fixture
def plane(planes: Planes) -> Iterator[Plane]:
    """Well at the beginning; at the end it is well again, at rest, and the checker finds nothing."""
    present = planes.present()
    try:
        present.make_well()
        yield present
        present.make_well()
        present.check()
    except BaseException:
        planes.give_up()
        raise


@pytest.fixture
def talk(plane: Plane) -> Iterator[Talk]:
    with plane.talk() as talking:
        yield talking
        talking.stop_what_lives()
