"""Upload a part of a live file to a pre-signed address of the object store."""

from __future__ import annotations

import http.client
import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from executor.process.account import AgentAccount
from executor.workspaces.live_files import FileChanging, opened_file, refuse_if_written, version_of
from schema.errors import Invalid, Unavailable
from schema.live_files import FilePut, PutFile
from schema.upload_headers import upload_headers

PIECE_BYTES = 1 << 18
TIMEOUT_SECONDS = 30.0


class StoreRefused(Unavailable):
    """The object store did not take the file. Try again."""

    code: ClassVar[str] = "store_failed"


def put_file(workspace: Path, account: AgentAccount, request: PutFile) -> FilePut:
    """Upload the requested bytes. Only the opening happens as the account. Raises NotFound, Invalid, FileChanging,
    StoreRefused."""
    with account.acting(), opened_file(workspace, request.path) as opened:
        descriptor = os.dup(opened)
    try:
        seen = os.fstat(descriptor)
        if version_of(seen) != request.version:
            raise FileChanging
        if not request.start <= request.end <= seen.st_size:
            raise Invalid("The file has no such range.", code="bad_range")
        _put(request.link, descriptor, request.start, request.end)
        refuse_if_written(descriptor, seen)
        return FilePut(bytes=request.end - request.start)
    finally:
        os.close(descriptor)


def _put(link: str, descriptor: int, start: int, end: int) -> None:
    """Send the bytes. The address is a secret, so that no error repeats it."""
    to = urlsplit(link)
    try:
        connection = _connection(to.scheme, to.netloc)
        try:
            headers = upload_headers(link, size=end - start)
            connection.request("PUT", f"{to.path}?{to.query}", body=_pieces(descriptor, start, end), headers=headers)
            answer = connection.getresponse()
            answer.read(1 << 16)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise StoreRefused(f"The object store cannot be reached ({type(error).__name__}).") from None
    if answer.status not in (200, 201, 204):
        raise StoreRefused(f"The object store answered {answer.status} to an upload.")


def _connection(scheme: str, netloc: str) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(netloc, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context())
    return http.client.HTTPConnection(netloc, timeout=TIMEOUT_SECONDS)


def _pieces(descriptor: int, start: int, end: int) -> Iterator[bytes]:
    at = start
    while at < end:
        piece = os.pread(descriptor, min(PIECE_BYTES, end - at), at)
        if not piece:
            raise FileChanging
        yield piece
        at += len(piece)
