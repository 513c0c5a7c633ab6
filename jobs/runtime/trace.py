"""The trace of a call to an executor, for its headers and the log lines."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from uuid import UUID

from schema.executor_api import executor_id
from schema.logs import log_context, trace_id


@dataclass(frozen=True, kw_only=True)
class Trace:
    """The session, run and trace of a call. Its headers and log lines carry them (TRACE_HEADERS)."""

    session_id: UUID
    epoch: int
    run_id: UUID | None = None
    traceparent: str | None = None

    def headers(self, operation: str) -> dict[str, str]:
        fields = {
            "x-trace-id": trace_id(self.traceparent),
            "x-trace-session-id": str(self.session_id),
            "x-trace-run-id": self.run_id and str(self.run_id),
            "x-trace-executor-id": executor_id(self.session_id, self.epoch),
            "x-trace-operation": operation,
            "traceparent": self.traceparent,
        }
        return {name: value for name, value in fields.items() if value}

    def in_logs(self) -> AbstractContextManager[None]:
        """Add the trace to every log line inside the block."""
        return log_context(
            traceId=trace_id(self.traceparent),
            sessionId=self.session_id,
            runId=self.run_id,
            executorId=executor_id(self.session_id, self.epoch),
        )
