"""Request a sync from an executor, and decide which links it may have."""

from __future__ import annotations

from uuid import UUID, uuid4

from handlers.workspaces.sync import BegunSync
from jobs.context import TaskContext
from jobs.runtime.executor_client import Endpoint
from jobs.runtime.trace import Trace
from jobs.workspaces.sync_operation import OperationRequest
from jobs.workspaces.upload_links import UploadLinks
from schema.object_keys import is_content_key, manifest_key
from schema.runtime_manifest import ignore_patterns, read_runtime_manifest
from schema.workspace_api import SyncQuery, SyncWorkspace, Want


class SyncRequester:
    """Requests one sync from the executor, each time under a new snapshot id.

    Incomplete uploads of earlier tries become garbage under their own ids.
    """

    def __init__(self, context: TaskContext, begun: BegunSync, query: SyncQuery, links: UploadLinks) -> None:
        self._context = context
        self._begun = begun
        self._query = query
        self.links = links
        self.snapshot_ids: list[UUID] = []

    def asked(self, endpoint: Endpoint, trace: Trace) -> OperationRequest:
        begun = self._begun
        return OperationRequest(
            endpoint=endpoint,
            trace=trace,
            start=lambda: self._context.executors.sync(endpoint, self._wanted(), self._query, trace),
            may_have=self._may_have,
            link=self.links.sign,
            is_held=lambda: self._context.sync_leases.is_held(begun.lease),
        )

    def _wanted(self) -> SyncWorkspace:
        begun = self._begun
        self.snapshot_ids.append(uuid4())
        self.links.begin(self.snapshot_ids[-1])
        return SyncWorkspace(
            session_id=begun.lease.session_id,
            epoch=begun.epoch,
            snapshot_id=self.snapshot_ids[-1],
            run_id=begun.run_id,
            reason=begun.reason,
            head=begun.head.id if begun.head else None,
            head_digest=begun.head.manifest_digest if begun.head else None,
            at_rest=begun.at_rest,
            ignore=ignore_patterns(read_runtime_manifest(begun.manifest)),
        )

    def _may_have(self, want: Want) -> bool:
        session_id, head = self._begun.lease.session_id, self._begun.head
        if is_content_key(session_id, want.key):
            return True
        if want.method == "GET":
            return head is not None and want.key == manifest_key(session_id, head.id)
        return want.key == manifest_key(session_id, self.snapshot_ids[-1])
