"""Places of a session, and the server of objects that they are saved to."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.executor.snapshotter.objects import Objects
from tests.integration.executor.snapshotter.session_disk import SessionDisk


@pytest.fixture
def objects() -> Iterator[Objects]:
    objects = Objects()
    yield objects
    objects.close()


@pytest.fixture
def disk(tmp_path: Path, objects: Objects) -> Iterator[SessionDisk]:
    before = os.umask(0o022)
    yield SessionDisk(tmp_path / "place", objects)
    os.umask(before)
    subprocess.run(["chmod", "-R", "u+rwX", tmp_path], check=False)


@pytest.fixture
def saved(disk: SessionDisk) -> SessionDisk:
    """With small files in a pack, and a large one in parts of which none compresses."""
    (disk.workspace / "folder").mkdir()
    (disk.workspace / "folder" / "small").write_text("small " * 1000)
    (disk.workspace / "large").write_bytes(os.urandom(2 << 20))
    disk.save()
    return disk
