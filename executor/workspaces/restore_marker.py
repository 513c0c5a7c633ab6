"""Record whether the workspace is restored: `place.json` in the state folder, written atomically and flushed to
disk."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from schema.wire import Json

FILE = "place.json"


@dataclass(frozen=True)
class RestoreMarker:
    """Describe the latest requested restore. Without one there is no file, and nothing to wait for.

    `restored` is false from the start of a restore until it succeeds; then `receipt` is a RestoreReceipt.
    """

    epoch: int = 0
    restored: bool = False
    snapshot_id: str | None = None
    receipt: Json | None = None

    @property
    def is_unfinished(self) -> bool:
        """Tell whether a restore was requested and has not succeeded."""
        return self.epoch > 0 and not self.restored


def read_marker(state_dir: Path) -> RestoreMarker:
    """Read the marker. An unreadable file counts as an unfinished restore, so the control plane restores again."""
    try:
        content = json.loads((state_dir / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return RestoreMarker()
    except (OSError, ValueError):
        return RestoreMarker(epoch=1)
    return RestoreMarker(
        epoch=int(content["epoch"]),
        restored=bool(content["restored"]),
        snapshot_id=content.get("snapshotId"),
        receipt=content.get("receipt"),
    )


def write_marker(state_dir: Path, marker: RestoreMarker) -> None:
    """Write the marker atomically and flush the file and its folder to disk."""
    content = {
        "epoch": marker.epoch,
        "restored": marker.restored,
        "snapshotId": marker.snapshot_id,
        "receipt": marker.receipt,
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
