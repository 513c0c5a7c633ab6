"""Places of a session, and the server of objects that they are saved to."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.executor.snapshotter.objects import Objects
from tests.integration.executor.snapshotter.places import Place


@pytest.fixture
def objects() -> Iterator[Objects]:
    objects = Objects()
    yield objects
    objects.close()


@pytest.fixture
def place(tmp_path: Path, objects: Objects) -> Iterator[Place]:
    before = os.umask(0o022)
    yield Place(tmp_path / "place", objects)
    os.umask(before)
    subprocess.run(["chmod", "-R", "u+rwX", tmp_path], check=False)


@pytest.fixture
def saved(place: Place) -> Place:
    """With small files in a pack, and a large one in parts of which none compresses."""
    (place.workspace / "folder").mkdir()
    (place.workspace / "folder" / "small").write_text("small " * 1000)
    (place.workspace / "large").write_bytes(os.urandom(2 << 20))
    place.save()
    return place
