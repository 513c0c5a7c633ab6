"""How API and job worker open clients of S3: keywords of botocore's Config, without the library itself."""

from __future__ import annotations

from typing import Any

CONNECT_SECONDS = 3.0


def client_keywords(*, read_seconds: float, attempts: int, connections: int) -> dict[str, Any]:
    """Return the keywords for a client that waits `read_seconds` for an answer and tries a request `attempts` times."""
    return {
        "signature_version": "s3v4",
        "s3": {"addressing_style": "path"},
        "retries": {"mode": "standard", "total_max_attempts": attempts},
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": read_seconds,
        "max_pool_connections": connections,
        # Newer checksums only where an operation requires one: many stores do not support them.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
