"""Compress JSON answers for clients that accept gzip. Streams of events are never compressed."""

from __future__ import annotations

from flask import Flask
from flask_compress import Compress

MIN_BYTES = 1024
LEVEL = 4
"""Of 9: higher levels cost far more time than they save."""


def compress_json(app: Flask) -> None:
    """Compress JSON answers of more than MIN_BYTES."""
    app.config.update(
        COMPRESS_MIMETYPES=["application/json"],
        COMPRESS_ALGORITHM=["gzip"],
        COMPRESS_LEVEL=LEVEL,
        COMPRESS_MIN_SIZE=MIN_BYTES,
        COMPRESS_STREAMS=False,
        COMPRESS_EVALUATE_CONDITIONAL_REQUEST=False,
    )
    Compress(app)
