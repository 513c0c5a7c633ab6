"""Say why a workspace takes no save, restore or run now."""

from __future__ import annotations

from typing import ClassVar

from schema.errors import Conflict, Unavailable
from schema.executor_api import END_BEING_KEPT


class OperationBusy(Conflict):
    """Another save or restore of this workspace is running. Wait for it to end."""

    code: ClassVar[str] = "busy"


class RunLives(Conflict):
    """An agent is running: its home is not quiesced and its workspace cannot be restored. Wait for the run to end."""

    code: ClassVar[str] = "run_live"


class WorkspaceNotReady(Conflict):
    """The workspace is being restored, or its restore failed. Restore it again before a run."""

    code: ClassVar[str] = "workspace_not_ready"


class EndBeingKept(Unavailable):
    """The executor still reads the files as the run before left them. Ask again until it has kept them apart."""

    code: ClassVar[str] = END_BEING_KEPT
