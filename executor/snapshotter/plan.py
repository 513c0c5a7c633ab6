"""A restore plan as the engine carries it out; what its actions mean is said in schema/restore_plan.py."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from executor.snapshotter.protocol import EngineFailed
from schema.snapshot_manifest import BadManifest, Entry, Manifest, is_safe_path, path_bytes

if TYPE_CHECKING:
    from schema.workspace_api import Root

TOP = "."
StepAction = Literal["keep", "restore", "delete", "write", "mkdir"]
_SPEAKS_FOR_TREE = frozenset({"keep", "restore", "delete"})


class BadPlan(EngineFailed):
    """The restore plan cannot be carried out."""

    code = "bad_plan"


class Step(Struct, frozen=True):
    """An entry of the plan. `path` is TOP for the root."""

    root: Literal["workspace", "agent"]
    path: str
    action: StepAction
    reason: str
    digest: str | None = None
    size: int | None = None
    mode: str | None = None

    @property
    def place(self) -> bytes:
        """The path below the root; empty for the root."""
        return b"" if self.path == TOP else path_bytes(self.path)


class StepsLayer(Struct, frozen=True):
    entries: list[Step]


class RestoreSteps(Struct, frozen=True):
    layers: list[StepsLayer]
    contents: dict[str, str] = {}

    def steps(self, root: Root) -> dict[str, Step]:
        """By path, in the order of the layers."""
        return {step.path: step for layer in self.layers for step in layer.entries if step.root == root}

    def content(self, step: Step) -> bytes:
        """What is to be written; BadPlan when it is not what the step says."""
        try:
            data = base64.b64decode(self.contents[step.digest or ""], validate=True)
        except (KeyError, binascii.Error):
            raise BadPlan("The plan lacks the content of a file that it writes.") from None
        if hashlib.sha256(data).hexdigest() != step.digest or step.size not in (None, len(data)):
            raise BadPlan("The plan has another content for a file than it says.")
        return data


def read_plan(given: dict[str, Any]) -> RestoreSteps:
    """Raises BadPlan."""
    try:
        plan = msgspec.convert(given, RestoreSteps)
        places = [step.place for layer in plan.layers for step in layer.entries]
        modes = [int(step.mode, 8) for layer in plan.layers for step in layer.entries if step.mode]
    except (msgspec.ValidationError, BadManifest, ValueError):
        raise BadPlan("The plan is not readable.") from None
    if not all(not place or is_safe_path(place) for place in places) or any(mode > 0o777 for mode in modes):
        raise BadPlan("The plan has a path that leaves its root, or a mode that is none.")
    return plan


def decided(manifest: Manifest, root: Root, steps: dict[str, Step]) -> Iterator[tuple[Entry, StepAction]]:
    """What becomes of each of the snapshot's entries; without a step for the root nothing is restored."""
    top = steps.get(TOP)
    of_tree: dict[str, StepAction] = {"": top.action if top is not None and top.action in _SPEAKS_FOR_TREE else "keep"}
    for entry in manifest.entries(root):
        own = steps.get(entry.path)
        above = of_tree[_above(entry.path)]
        action = own.action if own is not None else above
        of_tree[entry.path] = action if action in _SPEAKS_FOR_TREE else above
        yield entry, action


def _above(path: str) -> str:
    """The folder's path in the manifest's spelling. A folder whose name is not UTF-8 makes all below it encoded."""
    if not path.startswith("base64:"):
        return path.rpartition("/")[0]
    from schema.snapshot_manifest import path_text

    folder = path_bytes(path).rpartition(b"/")[0]
    return path_text(folder) if folder else ""
