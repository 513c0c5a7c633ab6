"""Whether the place holds what it should: `place.json` in the state folder, whole or not at all, and on the disk."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from schema.wire import Json

FILE = "place.json"


@dataclass(frozen=True)
class PlaceState:
    """What became of the restore that was asked for last. Without one there is no file, and nothing to wait for.

    `restored` is false from the moment a restore begins until it has succeeded; then `receipt` is a RestoreReceipt.
    """

    epoch: int = 0
    restored: bool = False
    snapshot_id: str | None = None
    receipt: Json | None = None

    @property
    def is_unfinished(self) -> bool:
        return self.epoch > 0 and not self.restored


def read_place(state_dir: Path) -> PlaceState:
    """A file that cannot be read counts as a restore that did not end: it is asked for again."""
    try:
        found = json.loads((state_dir / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return PlaceState()
    except (OSError, ValueError):
        return PlaceState(epoch=1)
    return PlaceState(
        epoch=int(found["epoch"]),
        restored=bool(found["restored"]),
        snapshot_id=found.get("snapshotId"),
        receipt=found.get("receipt"),
    )


def write_place(state_dir: Path, place: PlaceState) -> None:
    content = {
        "epoch": place.epoch,
        "restored": place.restored,
        "snapshotId": place.snapshot_id,
        "receipt": place.receipt,
    }
    new = state_dir / f"{FILE}.new"
    with os.fdopen(os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(state_dir / FILE)
    folder = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
