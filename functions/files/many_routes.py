"""Routes about many files of a snapshot at once: search by name, zip of a folder, and what changed between runs."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from functions.files.access import admitted_rules
from functions.files.archives import zip_bytes
from functions.files.auditing import audit, note_access
from functions.files.comparing import changes_page, one_change
from functions.files.downloads import state_headers, streamed
from functions.files.live import save_changes
from functions.files.reading import file_reading, open_sides, open_tree
from functions.files.schemas import (
    DiffAnswer,
    DiffQuery,
    FolderQuery,
    SearchAnswer,
    SearchQuery,
)
from functions.files.searching import found_by_name, found_in_text
from functions.http.auth import permission
from functions.http.openapi import also, conflicts
from functions.http.schemas import answer
from handlers.files.archive import plan_archive
from handlers.files.tree import read_path

many_files = APIBlueprint("many_files", __name__, tag="Files")
audit(many_files)


@many_files.get("/api/files/search")
@permission("files:read")
@many_files.input(SearchQuery, location="query")
@many_files.output(SearchAnswer)
@many_files.doc(responses=conflicts("not_live"))
def get_search(query_data: SearchQuery) -> Response:
    """Find files and folders by name, or with `in=text` files by their text"""
    found = found_in_text(query_data) if query_data.in_ == "text" else found_by_name(query_data)
    note_access(files=len(found.items), bytes=found.bytes)
    return answer(SearchAnswer(**vars(found.part), items=found.items, partial=found.is_partial))


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
            409: {"description": "`not_live`"},
            413: {"description": "`archive_too_large`"},
        }
    )
)
def get_zip(query_data: FolderQuery) -> Response:
    """Download a folder as a zip

    Symbolic links are left out, because they may lead outside, and so is what a file policy denies. Changes of a
    worker are saved first, so that the archive shows one state; when they cannot be saved in time, it is the newest
    snapshot's.
    """
    folder = read_path(query_data.path)
    opened = open_tree(query_data, folder, not_live=save_changes(query_data, folder))
    plan = plan_archive(opened.tree, folder, allows=admitted_rules().allows)
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
    path = None if query_data.path is None else read_path(query_data.path)
    old, new = open_sides(query_data, path or "")
    if path is not None:
        return answer(one_change(old, new, path))
    return answer(changes_page(old, new, after=query_data.cursor, limit=query_data.limit))
