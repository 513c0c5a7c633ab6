"""List, preview and download files of any run from its snapshot, with or without a worker."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from urllib.parse import urlencode
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response

from functions.files.access import admitted_rules
from functions.files.auditing import audit, note_access
from functions.files.downloads import download_response, first_bytes, for_viewer, linked_download, live_download
from functions.files.live import file_item, live_file, read_live
from functions.files.reading import open_tree
from functions.files.schemas import (
    ContentAnswer,
    DownloadQuery,
    FileItemAnswer,
    FileQuery,
    SnapshotPart,
    SnapshotQuery,
    TreeAnswer,
    TreeQuery,
)
from functions.http.auth import actor, permission
from functions.http.openapi import also, conflicts
from functions.http.schemas import answer
from functions.runtime.process import api_process
from handlers.files.choose import session_folders, session_of_user
from handlers.files.preview import PDF_MAGIC, PREVIEW_BYTES, is_pdf, preview_of, safe_name
from handlers.files.tree import FileItem, FileKind, read_path
from schema.errors import Invalid, NotFound
from schema.job_requests import ReadLiveFiles
from schema.live_files import LiveFolderQuery
from schema.workspace_api import Root

files = APIBlueprint("files", __name__, tag="Files")
audit(files)


@files.get("/api/files/tree")
@permission("files:read")
@files.input(TreeQuery, location="query")
@files.output(TreeAnswer)
@files.doc(responses=conflicts("not_live"))
def get_tree(query_data: TreeQuery) -> Response:
    """List a folder, folders first

    With `userId` and `path=/` the user's sessions are the folders, and `/<sessionId>/...` goes into one of them.
    """
    if query_data.user_id is None:
        if query_data.session_id is None:
            raise Invalid("Name a session (`sessionId`) or a user (`userId`).")
        return answer(_folder(query_data, query_data.session_id, query_data.path, above=""))
    if query_data.session_id is not None:
        raise Invalid("Name a session or a user, not both. A user's session is the first name of the path.")
    session_text, _, path = query_data.path.strip("/").partition("/")
    if not session_text:
        return answer(_sessions_as_folders(query_data, query_data.user_id))
    session_id = _session_in_path(session_text)
    note_access(session_id=session_id)
    with api_process().transaction() as conn:
        session_of_user(conn, actor(), query_data.user_id, session_id)
    return answer(_folder(query_data, session_id, path, above=f"/{session_id}/"))


@files.get("/api/files/content")
@permission("files:read")
@files.input(FileQuery, location="query")
@files.output(ContentAnswer)
@files.doc(responses=conflicts("not_live"))
def get_content(query_data: FileQuery) -> Response:
    """Preview a file

    Text with its encoding and line ends, cut at 256 KiB. Images and PDF are named as such, with their download.
    """
    path = read_path(query_data.path)
    live, found = live_file(query_data, path, most=PREVIEW_BYTES)
    if live is not None:
        url = _download_url(query_data.session_id, path)
        return answer(_content(found.part, path, live.first, size=live.head.size, url=url))
    opened = open_tree(query_data, path, not_live=found.not_live)
    file = opened.tree.content(path)
    head = first_bytes(opened, file, PREVIEW_BYTES)
    url = _download_url(query_data.session_id, path, snapshot=opened.snapshot.id, root=opened.tree.root)
    return answer(_content(opened.part, path, head, size=file.size, url=url))


@files.get("/api/files/download")
@permission("files:read")
@files.input(DownloadQuery, location="query")
@files.doc(
    responses=also(
        {
            200: {
                "description": "The file's bytes",
                "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            },
            206: {"description": "The requested range of them"},
            307: {"description": "They are at `Location` for a minute (`link`)"},
            409: {"description": "`not_live`, or `file_changing`: the live file changed while it was read"},
            416: {"description": "The file has no such range"},
        }
    )
)
def get_download(query_data: DownloadQuery) -> Response:
    """Download a file, or a range of it"""
    path = read_path(query_data.path)
    live, found = live_file(query_data, path)
    if live is not None:
        sent = live_download(live, found.part)
        return for_viewer(sent, path) if query_data.inline and is_pdf(live.first) else sent
    opened = open_tree(query_data, path, not_live=found.not_live)
    file = opened.tree.content(path)
    if query_data.inline and is_pdf(first_bytes(opened, file, len(PDF_MAGIC))):
        return for_viewer(download_response(opened, path, file), path)
    link = linked_download(opened, path, file) if query_data.link else None
    return link or download_response(opened, path, file)


def _content(part: SnapshotPart, path: str, head: bytes, *, size: int, url: str) -> ContentAnswer:
    note_access(bytes=len(head))
    shown = preview_of(path, head, is_cut=size > len(head))
    return ContentAnswer(
        **vars(part),
        path=path,
        name=safe_name(path),
        kind=shown.kind,
        mime_type=shown.mime_type,
        size=size,
        encoding=shown.encoding,
        line_ends=shown.line_ends,
        text=shown.text,
        cut=size > len(head),
        download_url=url,
    )


def _folder(query: TreeQuery, session_id: UUID, path: str, *, above: str) -> TreeAnswer:
    wanted = SnapshotQuery(
        session_id=session_id, run_id=query.run_id, snapshot=query.snapshot, at=query.at, root=query.root
    )
    folder, after = read_path(path), _read_cursor(query.cursor)
    is_no_folder, name = after or (True, None)
    listing = LiveFolderQuery(path=folder, after_name=name, after_folder=not is_no_folder, limit=query.limit)
    found = read_live(wanted, ReadLiveFiles(session_id=session_id, folder=listing), folder, lists=True)
    if found.read is not None and found.read.items is not None:
        part, page = found.part, [file_item(item) for item in found.read.items.items]
    else:
        opened = open_tree(wanted, folder, lists=True, not_live=found.not_live)
        part, page = opened.part, opened.tree.page(folder, after=after, limit=query.limit)
    shown = [item for item in page if admitted_rules().shows(item.path)]
    note_access(files=len(shown))
    last = page[-1] if len(page) == query.limit else None
    return TreeAnswer(
        **vars(part),
        items=[_item(item, above) for item in shown],
        hidden=len(page) - len(shown) or None,
        next_cursor=_cursor(last.kind, last.name) if last else None,
    )


def _item(item: FileItem, above: str) -> FileItemAnswer:
    return FileItemAnswer(**{**vars(item), "path": above + item.path})


def _sessions_as_folders(query: TreeQuery, user_id: UUID) -> TreeAnswer:
    after = _read_cursor(query.cursor)
    with api_process().transaction() as conn:
        found = session_folders(
            conn, actor(), user_id, after=_session_in_path(after[1]) if after else None, limit=query.limit
        )
    note_access(allowed=True, files=len(found))
    items = [
        FileItemAnswer(
            name=str(session.id), path=f"/{session.id}", kind="folder", mtime=session.updated_at, title=session.title
        )
        for session in found
    ]
    cursor = _cursor("folder", items[-1].name) if len(items) == query.limit else None
    return TreeAnswer(
        as_of=max((item.mtime for item in items), default=datetime.now(UTC)), items=items, next_cursor=cursor
    )


def _session_in_path(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("There is no such session.", code="unknown_session") from None


def _cursor(kind: FileKind, name: str) -> str:
    return urlsafe_b64encode(json.dumps([kind != "folder", name]).encode()).decode()


def _read_cursor(cursor: str | None) -> tuple[bool, str] | None:
    """Return (is no folder, name) of the previous page's last item. Raises Invalid."""
    if cursor is None:
        return None
    try:
        is_no_folder, name = json.loads(urlsafe_b64decode(cursor.encode("ascii")))
    except (ValueError, TypeError):
        raise Invalid("The cursor is not one of this list.", code="bad_cursor") from None
    if not isinstance(is_no_folder, bool) or not isinstance(name, str) or not _is_text(name):
        raise Invalid("The cursor is not one of this list.", code="bad_cursor")
    return is_no_folder, name


def _is_text(name: str) -> bool:
    """Whether the database and UTF-8 can hold it, as every name that Runyard answers."""
    return "\0" not in name and name == name.encode(errors="ignore").decode()


def _download_url(session_id: UUID, path: str, *, snapshot: UUID | None = None, root: Root = "workspace") -> str:
    """Return the address of the file's bytes; without a snapshot, those of the live file."""
    named = {"sessionId": session_id, **({"snapshot": snapshot} if snapshot else {}), "root": root, "path": path}
    return f"/api/files/download?{urlencode(named)}"
