"""Remember in the state folder which run's end no snapshot holds yet, and hold the files of ends that were kept."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

FOLDER = "run-ends"
UNSAVED_RUN = "unsaved-run.json"
NEW = "new"
MOST_BYTES = 8 << 30
"""All kept ends of a session together; at most half of what the disk has left beyond RESERVED_BYTES."""
RESERVED_BYTES = 1 << 30
"""Disk that kept ends leave to others, who may need it more: losing an end loses no work."""


@dataclass(frozen=True)
class UnsavedRun:
    """The last run that has begun, while its end is neither kept nor known to be in a snapshot. `ignore` are its app's
    patterns."""

    run_id: UUID
    ignore: list[str]


@dataclass(frozen=True)
class KeptEndFile:
    """A kept end, in the order of `number`. `sent_as` is the snapshot as which it was last uploaded."""

    path: Path
    number: int
    run_id: UUID
    sent_as: UUID | None


class KeptEnds:
    """Hold the kept ends of one executor's session. They outlive the executor, and no restore."""

    def __init__(self, state_dir: Path) -> None:
        self._unsaved_file = state_dir / UNSAVED_RUN
        self._folder = state_dir / FOLDER
        self.unsaved = self._read_unsaved()

    def begin(self, run: UnsavedRun) -> None:
        """Record that a run begins. Call this once the end of the run before is saved, kept or given up.

        On a full disk the record does not outlive the executor.
        """
        self.unsaved = run
        self._unsaved_file.unlink(missing_ok=True)
        new = self._unsaved_file.with_suffix(".new")
        with suppress(OSError):
            new.write_text(json.dumps({"runId": str(run.run_id), "ignore": run.ignore}), encoding="utf-8")
            new.replace(self._unsaved_file)

    def forget_unsaved(self, run: UnsavedRun | None) -> None:
        """Record that this run's end needs no keeping any more."""
        if run is not None and run == self.unsaved:
            self._unsaved_file.unlink(missing_ok=True)
            self.unsaved = None

    @property
    def oldest(self) -> KeptEndFile | None:
        return min(self._files(), key=lambda end: end.number, default=None)

    def room(self) -> int:
        """Return how many bytes the next end may take."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        taken = sum(end.path.stat().st_size for end in self._files())
        free = shutil.disk_usage(self._folder).free - RESERVED_BYTES
        return max(0, min(MOST_BYTES - taken, free // 2))

    def open_new(self) -> int:
        """Return a descriptor of a new file, which `add` makes the next kept end."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self.discard_new()
        return os.open(self._folder / NEW, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)

    def add(self, run_id: UUID) -> None:
        number = max((end.number for end in self._files()), default=0) + 1
        (self._folder / NEW).replace(self._folder / f"{number}.{run_id}")

    def discard_new(self) -> None:
        with suppress(OSError):
            (self._folder / NEW).unlink()

    def mark_sent(self, end: KeptEndFile, snapshot_id: UUID) -> None:
        with suppress(FileNotFoundError):  # a run began that knew of a snapshot with this end
            end.path.replace(self._folder / f"{end.number}.{end.run_id}.{snapshot_id}")

    def forget_committed(self, head: UUID | None) -> None:
        """Delete the oldest end if the newest snapshot holds it."""
        oldest = self.oldest
        if oldest is not None and head is not None and oldest.sent_as == head:
            oldest.path.unlink()

    def forget_saved(self, run_id: UUID | None) -> None:
        """Forget this run's end, which the newest snapshot holds."""
        if self.unsaved is not None and self.unsaved.run_id == run_id:
            self.forget_unsaved(self.unsaved)
        oldest = self.oldest
        if oldest is not None and oldest.run_id == run_id:
            oldest.path.unlink()

    def clear(self) -> None:
        """Delete all kept ends: each builds on the one before."""
        for end in self._files():
            end.path.unlink()

    def _files(self) -> list[KeptEndFile]:
        try:
            names = [path for path in self._folder.iterdir() if path.name != NEW]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [_kept_end_file(path) for path in names]

    def _read_unsaved(self) -> UnsavedRun | None:
        try:
            content = json.loads(self._unsaved_file.read_text(encoding="utf-8"))
            return UnsavedRun(UUID(content["runId"]), list(content["ignore"]))
        except (OSError, ValueError, KeyError):
            return None


def _kept_end_file(path: Path) -> KeptEndFile:
    number, run_id, *sent_as = path.name.split(".")
    return KeptEndFile(path, int(number), UUID(run_id), UUID(sent_as[0]) if sent_as else None)
