"""Check addresses in settings. Errors never repeat the text, which may hold a password."""

from __future__ import annotations

from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict


def web_address(text: str) -> str:
    """Return the address without a trailing slash. Raises ValueError."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ValueError("must be an address like http://127.0.0.1:8080")
    return text.rstrip("/")


def database_address(text: str) -> str:
    """Return an address that libpq understands: a URL, or keywords. Raises ValueError."""
    try:
        conninfo_to_dict(text)
    except psycopg.ProgrammingError:
        raise ValueError("must be an address like postgresql://user:password@host:port/name") from None
    return text
