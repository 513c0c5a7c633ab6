"""Answer with a file's bytes so that nothing in them runs as Runyard: attached, not sniffed, sandboxed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Literal
from urllib.parse import quote

import structlog
from flask import Response, request

from functions.files.auditing import note_access, record_broken_answer, this_access
from functions.files.contents import file_bytes, own_object
from functions.files.live import LiveFile
from functions.files.reading import OpenTree, file_reading
from functions.files.schemas import SnapshotPart
from functions.http.auth import actor
from functions.http.problems import problem
from functions.runtime.process import api_process
from functions.runtime.stream_slots import StreamSlot, StreamSlots
from handlers.files.audit import FileAccess
from handlers.files.preview import PDF_TYPE, mime_type_of, safe_name
from handlers.files.tree import Content
from schema.errors import RunyardError
from schema.run_ends import EXACT_HEADER
from schema.wire import rfc3339

VIEWER_POLICY = "sandbox; default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""Of a PDF in a tab. The viewer of Chromium and of Firefox is no page of this origin and works under it."""
_log = structlog.get_logger(__name__)


def download_response(opened: OpenTree, path: str, file: Content) -> Response:
    """Answer the file of a snapshot, or the single range that was asked for."""
    reader, manifest = file_reading().objects, opened.tree.manifest

    def pieces(start: int, end: int) -> Iterator[bytes]:
        return file_bytes(reader, manifest, file, start=start, end=end)

    return _ranged(path, pieces, size=file.size, etag=f'"{file.digest}"', part=opened.part)


def first_bytes(opened: OpenTree, file: Content, most: int) -> bytes:
    """Return a file's first bytes of a snapshot, at most so many."""
    return b"".join(file_bytes(file_reading().objects, opened.tree.manifest, file, end=most))


def linked_download(opened: OpenTree, path: str, file: Content) -> Response | None:
    """Answer a link to the store, as an attachment of no type; None when there is no link to these bytes."""
    key = own_object(opened.tree.manifest, file)
    disposition = attachment(safe_name(path))
    link = file_reading().objects.link(key, disposition=disposition) if key and request.method != "HEAD" else None
    if link is None:
        return None
    note_access(bytes=file.size, files=1)
    headers = {"Location": link, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return Response(status=HTTPStatus.TEMPORARY_REDIRECT, headers={**headers, **state_headers(opened.part)})


def live_download(file: LiveFile, part: SnapshotPart) -> Response:
    """Answer the live file, or the single range that was asked for."""
    return _ranged(file.path, file.pieces, size=file.head.size, etag=f'"{file.head.version}"', part=part)


def for_viewer(response: Response, path: str) -> Response:
    """Let the browser's own viewer show a PDF's bytes. A refusal is returned as it is.

    The caller has read the file's first bytes. A page of Runyard can neither frame the answer nor reach its tab."""
    if response.status_code not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        return response
    response.content_type = PDF_TYPE
    response.headers["Content-Disposition"] = disposition("inline", safe_name(path))
    response.headers["Content-Security-Policy"] = VIEWER_POLICY
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


def state_headers(part: SnapshotPart) -> dict[str, str]:
    """Return the headers that tell which state of the files an answer sends, and as of when."""
    headers = {"Runyard-State": part.state, "Runyard-As-Of": rfc3339(part.as_of)}
    if part.snapshot_id is not None:
        headers["Runyard-Snapshot"] = str(part.snapshot_id)
    if part.exact is not None:
        headers[EXACT_HEADER] = "true" if part.exact else "false"
    if part.not_live is not None:
        headers["Runyard-Not-Live"] = part.not_live.code
    return headers


def _ranged(
    path: str, pieces_of: Callable[[int, int], Iterator[bytes]], *, size: int, etag: str, part: SnapshotPart
) -> Response:
    """Answer all bytes or the single range that was asked for; 416 for a range that the file has not."""
    start, end, status = 0, size, HTTPStatus.OK
    asked = request.range
    if_range = request.headers.get("If-Range")
    if asked is not None and asked.units == "bytes" and len(asked.ranges) == 1 and if_range in (None, etag):
        span = asked.range_for_length(size)
        if span is None:
            return problem(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                code="bad_range",
                detail="The file has no such range.",
                headers={"Content-Range": f"bytes */{size}"},
            )
        (start, end), status = span, HTTPStatus.PARTIAL_CONTENT
    note_access(bytes=end - start, files=1)
    response = streamed(pieces_of(start, end), name=safe_name(path), mime_type=mime_type_of(path), status=status)
    response.content_length = end - start
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["ETag"] = etag
    response.headers.update(state_headers(part))
    if status == HTTPStatus.PARTIAL_CONTENT:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return response


def streamed(
    pieces: Iterator[bytes], *, name: str, mime_type: str, status: int = 200, slots: StreamSlots | None = None
) -> Response:
    """Stream bytes as a download with this name. It takes one of the slots until it ends. Raises Unavailable.

    The first piece is read before the answer begins, so that a store that fails is a problem and not a broken answer.
    """
    slot = (slots or api_process().stream_slots).take(actor().user_id)
    try:
        first = b"" if request.method == "HEAD" else next(pieces, b"")
    except BaseException:
        slot.release()
        raise
    body = _told(first, pieces, access=this_access(), slot=slot)
    response = Response(body, status=status, content_type=mime_type)
    response.call_on_close(slot.release)
    response.headers["Content-Disposition"] = attachment(name)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def attachment(name: str) -> str:
    """Return the Content-Disposition of a download."""
    return disposition("attachment", name)


def disposition(kind: Literal["attachment", "inline"], name: str) -> str:
    """Return the Content-Disposition of RFC 6266 with the name in ASCII and, by RFC 5987, in UTF-8."""
    plain = "".join(letter if " " <= letter <= "~" and letter not in '"\\%;' else "_" for letter in name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _told(first: bytes, pieces: Iterator[bytes], *, access: FileAccess, slot: StreamSlot) -> Iterator[bytes]:
    """Yield the pieces. A failure in the middle cuts the answer short, and is told in the audit and in the log."""
    process = api_process()

    def send() -> Iterator[bytes]:
        sent = len(first)
        try:
            yield first
            for piece in pieces:
                yield piece
                sent += len(piece)
        except RunyardError as error:
            _log.warning("a download broke off", reason=error.problem_code, sent=sent)
            record_broken_answer(process, access, sent=sent, reason=error.problem_code)
            raise
        finally:
            slot.release()

    return send()
