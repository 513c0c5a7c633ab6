"""Write log lines: one JSON object each, with the same keys in every part (CONTEXT_KEYS and `component`)."""

from __future__ import annotations

import logging
import re
import sys
from contextlib import AbstractContextManager

import structlog

SIGNED = re.compile(r"(X-Amz-(?:Signature|Credential|Security-Token))=[^&\s\"']+", re.IGNORECASE)
CONTEXT_KEYS = ("traceId", "sessionId", "runId", "executorId")


def configure_logs(component: str, *, level: str = "INFO") -> None:
    """Send this process's log lines, and those of its libraries, to stderr as JSON."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
        _component(component),
        without_signatures,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.EventRenamer("message"),
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def log_context(**ids: object) -> AbstractContextManager[None]:
    """Put ids (camelCase, see CONTEXT_KEYS) on every line that is logged inside the block."""
    known = {key: str(value) for key, value in ids.items() if value is not None}
    return structlog.contextvars.bound_contextvars(**known)


def trace_id(traceparent: str | None) -> str | None:
    """Return the 32 hex digits of a run's trace (W3C Trace Context), or None."""
    parts = (traceparent or "").split("-")
    return parts[1] if len(parts) == 4 else None


def without_signatures(_logger: object, _method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Remove signatures from links to the object store: a link is a secret while it works."""
    for key, value in line.items():
        if isinstance(value, str) and "amz-" in value.lower():
            line[key] = SIGNED.sub(r"\1=***", value)
    return line


def _component(name: str) -> structlog.typing.Processor:
    def add(_logger: object, _method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        line.setdefault("component", name)
        return line

    return add
