"""Uploads by links, as an executor makes them."""

from __future__ import annotations

import httpx

from jobs.object_store.contract import UploadTerms
from schema.upload_headers import content_md5, upload_headers


def terms_of(content: bytes, *, once: bool = False) -> UploadTerms:
    return UploadTerms(len(content), content_md5(content), once=once)


def put(link: str, content: bytes, *, announced: bytes | None = None) -> httpx.Response:
    """Upload with the headers of what was announced, by default the content itself. Links of another store's address
    are followed as they are."""
    told = content if announced is None else announced
    headers = upload_headers(link, size=len(told), md5=content_md5(told))
    return httpx.put(link, content=content, headers=headers, timeout=60)
