"""Routes about many files of a snapshot at once: search by name, zip of a folder, and what changed between runs."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from functions.files.archives import zip_bytes
from functions.files.auditing import audit, note_access
from functions.files.comparing import changes_page, one_change
from functions.files.downloads import state_headers, streamed
from functions.files.live import file_item, read_live, save_changes
from functions.files.reading import file_reading, open_sides, open_tree
from functions.files.schemas import (
    DiffAnswer,
    DiffQuery,
    FileItemAnswer,
    FolderQuery,
    SearchAnswer,
    SearchQuery,
)
from functions.http.auth import permission
from functions.http.openapi import also, conflicts
from functions.http.schemas import answer
from handlers.files.archive import plan_archive
from handlers.files.search import search_names
from handlers.files.tree import read_path
from schema.job_requests import ReadLiveFiles
from schema.live_files import LiveSearchQuery

many_files = APIBlueprint("many_files", __name__, tag="Files")
audit(many_files)


@many_files.get("/api/files/search")
@permission("files:read")
@many_files.input(SearchQuery, location="query")
@many_files.output(SearchAnswer)
@many_files.doc(responses=conflicts("not_live"))
def get_search(query_data: SearchQuery) -> Response:
    """Find files and folders by name"""
    search = LiveSearchQuery(text=query_data.q, limit=query_data.limit)
    live = read_live(query_data, ReadLiveFiles(session_id=query_data.session_id, search=search))
    if live.read is not None and live.read.items is not None:
        part, is_partial = live.part, live.read.items.is_partial
        items = [file_item(item) for item in live.read.items.items]
    else:
        opened = open_tree(query_data, not_live=live.not_live)
        found = search_names(opened.tree, query_data.q, limit=query_data.limit)
        part, items, is_partial = opened.part, found.items, found.is_partial
    note_access(files=len(items))
    answers = [FileItemAnswer(**vars(item)) for item in items]
    return answer(SearchAnswer(**vars(part), items=answers, partial=is_partial))


@many_files.get("/api/files/zip")
@permission("files:read")
@many_files.input(FolderQuery, location="query")
@many_files.doc(
    responses=also(
        {
            200: {
                "description": "The archive",
                "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
            },
            413: {"description": "`archive_too_large`"},
        }
    )
)
def get_zip(query_data: FolderQuery) -> Response:
    """Download a folder as a zip

    Symbolic links are left out, because they may lead outside. Changes of a worker are saved first, so that the
    archive shows one state; when they cannot be saved in time, it is the newest snapshot's.
    """
    opened = open_tree(query_data, not_live=save_changes(query_data))
    plan = plan_archive(opened.tree, read_path(query_data.path))
    note_access(files=len(plan.members), bytes=plan.bytes)
    reading = file_reading()
    pieces = zip_bytes(reading.objects, opened.tree.manifest, plan)
    response = streamed(pieces, name=f"{plan.name}.zip", mime_type="application/zip", slots=reading.archives)
    response.headers.update(state_headers(opened.part))
    return response


@many_files.get("/api/files/diff")
@permission("files:read")
@many_files.input(DiffQuery, location="query")
@many_files.output(DiffAnswer)
def get_diff(query_data: DiffQuery) -> Response:
    """List the files that changed between two runs; with `path`, show one of them"""
    old, new = open_sides(query_data)
    if query_data.path is not None:
        return answer(one_change(old, new, read_path(query_data.path)))
    return answer(changes_page(old, new, after=query_data.cursor, limit=query_data.limit))
