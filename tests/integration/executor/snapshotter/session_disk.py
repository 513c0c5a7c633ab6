"""A session's place without an executor: two roots, and the engine's verbs called on them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from executor.snapshotter.index import Index, read_index
from executor.snapshotter.protocol import ExecutorChannel, Method
from executor.snapshotter.restore import Restored, RestoreOrder, restore
from executor.snapshotter.save import SaveOutcome, save
from executor.snapshotter.snapshot import SaveOrder
from schema.object_keys import manifest_key
from schema.snapshot_manifest import Manifest, read_snapshot_manifest
from tests.integration.executor.snapshotter.objects import Objects

ALL: dict[str, Any] = {
    "layers": [
        {
            "layer": "L2",
            "entries": [
                {"root": "workspace", "path": ".", "action": "restore", "reason": "session_snapshot"},
                {"root": "agent", "path": ".", "action": "restore", "reason": "agent_snapshot"},
            ],
        }
    ]
}
"""The plan that restores all of a snapshot."""


class DirectChannel(ExecutorChannel):
    """Every link is given at once."""

    def __init__(self, objects: Objects) -> None:
        super().__init__()
        self._objects = objects
        self.said: list[tuple[str, object]] = []

    def link(self, method: Method, key: str, *, size: int | None, md5: str | None = None) -> str:
        return self._objects.link(method, key, size=size, md5=md5)

    def send(self, what: str, value: object) -> None:
        self.said.append((what, value))


@dataclass
class SessionDisk:
    """A session's workspace and home on disk, with the state that its executor would keep."""

    folder: Path
    objects: Objects
    session_id: UUID = field(default_factory=uuid4)
    head: UUID | None = None
    index: Index | None = None
    digests: dict[UUID | None, str] = field(default_factory=dict)
    keep: tuple[str, ...] = ("kept",)
    drop: tuple[str, ...] = ("kept/secret",)
    secrets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.workspace.mkdir(parents=True)
        self.home.mkdir()

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def save(self, *, at_rest: bool = True, ignore: tuple[str, ...] = ()) -> SaveOutcome:
        order = SaveOrder(
            session_id=self.session_id,
            snapshot_id=uuid4(),
            head=self.head,
            head_digest=self.digests.get(self.head),
            at_rest=at_rest,
            ignore=list(ignore),
            workspace=os.fsencode(self.workspace),
            home=os.fsencode(self.home),
            keep=list(self.keep),
            drop=list(self.drop),
            secrets=list(self.secrets),
        )
        outcome = save(order, index=self.index, channel=DirectChannel(self.objects))
        if outcome.index is not None:
            self.index = read_index(outcome.index)
        self.head = UUID(outcome.receipt["snapshotId"])
        self.digests[self.head] = outcome.receipt["manifestDigest"]
        return outcome

    def restore(self, snapshot_id: UUID | None, plan: dict[str, Any] = ALL) -> Restored:
        order = RestoreOrder(
            session_id=self.session_id,
            snapshot_id=snapshot_id,
            manifest_digest=self.digests.get(snapshot_id),
            plan=plan,
            workspace=os.fsencode(self.workspace),
            home=os.fsencode(self.home),
            keep=list(self.keep),
            drop=list(self.drop),
        )
        restored = restore(order, channel=DirectChannel(self.objects))
        if restored.index is not None:
            self.index, self.head = read_index(restored.index), snapshot_id
        return restored

    def another(self, name: str) -> SessionDisk:
        """A fresh place of the same session."""
        return SessionDisk(
            self.folder.with_name(name),
            self.objects,
            self.session_id,
            digests=self.digests,
            keep=self.keep,
            drop=self.drop,
            secrets=self.secrets,
        )

    def manifest(self) -> Manifest:
        assert self.head is not None
        data = self.objects.stored[manifest_key(self.session_id, self.head)]
        return read_snapshot_manifest(data, session_id=self.session_id, snapshot_id=self.head)


def used_disk(saved: SessionDisk) -> SessionDisk:
    """Another place of the session, where something is already."""
    there = saved.another("there")
    (there.workspace / "folder").mkdir()
    (there.workspace / "folder" / "small").write_text("what was there")
    (there.workspace / "own").write_text("own")
    return there
