"""The headers of an upload by a pre-signed link: those that the link names as signed, and no other condition.

A store refuses an upload whose signed headers are missing or have other values.
"""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import parse_qs, urlsplit


def content_md5(data: bytes) -> str:
    """Return the MD5 of the bytes in base64, as Content-MD5 has it."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def upload_headers(address: str, *, size: int, md5: str | None = None) -> dict[str, str]:
    """Return the headers for a PUT of `size` bytes to this address. `md5` is that of the bytes in base64."""
    [named] = parse_qs(urlsplit(address).query).get("X-Amz-SignedHeaders", [""])
    signed = named.split(";")
    headers = {"content-length": str(size)}
    if "if-none-match" in signed:
        headers["if-none-match"] = "*"
    if md5 is not None and "content-md5" in signed:
        headers["content-md5"] = md5
    return headers
