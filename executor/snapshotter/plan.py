"""Read a restore plan for the snapshotter. schema/restore_plan.py defines its actions."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from executor.snapshotter.protocol import SnapshotterFailed
from schema.snapshot_manifest import BadManifest, Entry, Manifest, is_safe_path, path_bytes

if TYPE_CHECKING:
    from schema.workspace_api import Root

TOP = "."
StepAction = Literal["keep", "restore", "delete", "write", "mkdir"]
_SPEAKS_FOR_TREE = frozenset({"keep", "restore", "delete"})


class BadPlan(SnapshotterFailed):
    """The restore plan is invalid."""

    code = "bad_plan"


class Step(Struct, frozen=True):
    """One entry of the plan. `path` is TOP for the root itself."""

    root: Literal["workspace", "agent"]
    path: str
    action: StepAction
    reason: str
    digest: str | None = None
    size: int | None = None
    mode: str | None = None

    @property
    def location(self) -> bytes:
        """The path below the root, empty for the root itself."""
        return b"" if self.path == TOP else path_bytes(self.path)


class StepsLayer(Struct, frozen=True):
    """One layer of the plan."""

    entries: list[Step]


class RestoreSteps(Struct, frozen=True):
    """A restore plan with the contents of the files that it writes."""

    layers: list[StepsLayer]
    contents: dict[str, str] = {}

    def steps(self, root: Root) -> dict[str, Step]:
        """Return the steps of one root by path. A later layer overrides an earlier one."""
        return {step.path: step for layer in self.layers for step in layer.entries if step.root == root}

    def content(self, step: Step) -> bytes:
        """Return the bytes that a step writes. Raises BadPlan when they differ from the step's digest or size."""
        try:
            data = base64.b64decode(self.contents[step.digest or ""], validate=True)
        except (KeyError, binascii.Error):
            raise BadPlan("The restore plan lacks the content of a file that it writes.") from None
        if hashlib.sha256(data).hexdigest() != step.digest or step.size not in (None, len(data)):
            raise BadPlan("The restore plan's content for a file differs from the file's digest or size.")
        return data


def read_plan(plan_json: dict[str, Any]) -> RestoreSteps:
    """Parse and check a plan. Raises BadPlan."""
    try:
        plan = msgspec.convert(plan_json, RestoreSteps)
        locations = [step.location for layer in plan.layers for step in layer.entries]
        modes = [int(step.mode, 8) for layer in plan.layers for step in layer.entries if step.mode]
    except (msgspec.ValidationError, BadManifest, ValueError):
        raise BadPlan("The restore plan is not valid.") from None
    if not all(not location or is_safe_path(location) for location in locations) or any(mode > 0o777 for mode in modes):
        raise BadPlan("The restore plan has a path outside of its root, or an invalid mode.")
    return plan


def decide_entries(manifest: Manifest, root: Root, steps: dict[str, Step]) -> Iterator[tuple[Entry, StepAction]]:
    """Yield each of the snapshot's entries with its action. Without a step for the root, nothing is restored."""
    top = steps.get(TOP)
    of_tree: dict[str, StepAction] = {"": top.action if top is not None and top.action in _SPEAKS_FOR_TREE else "keep"}
    for entry in manifest.entries(root):
        own = steps.get(entry.path)
        above = of_tree[_above(entry.path)]
        action = own.action if own is not None else above
        of_tree[entry.path] = action if action in _SPEAKS_FOR_TREE else above
        yield entry, action


def _above(path: str) -> str:
    """Return the parent folder's path in the manifest's spelling. Below a folder whose name is not UTF-8 all paths are
    encoded."""
    if not path.startswith("base64:"):
        return path.rpartition("/")[0]
    from schema.snapshot_manifest import path_text

    folder = path_bytes(path).rpartition(b"/")[0]
    return path_text(folder) if folder else ""
