"""Route calls about the files of the live workspace (schema/live_files.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from executor.http.parsing import answer, as_account, body_of, query_of
from executor.runs.registry import ExecutorIdentity
from executor.workspaces.find_text import find_text
from executor.workspaces.live_files import find_names, list_folder, read_head
from executor.workspaces.place_upload import place_upload
from executor.workspaces.put_file import put_file
from schema.live_files import (
    SAVED_END_HEADER,
    LiveFolderQuery,
    LiveHeadQuery,
    LiveSearchQuery,
    PlaceUploadQuery,
    PutFile,
)


def file_routes(
    identity: ExecutorIdentity, admitting_upload: Callable[[UUID | None], AbstractAsyncContextManager[None]]
) -> list[Route]:
    """A user's file is written within a block of `admitting_upload`."""
    workspace, account = identity.workspace, identity.account

    async def tree(request: Request) -> Response:
        query = query_of(request, LiveFolderQuery)
        return answer(await asyncio.to_thread(as_account, account, list_folder, workspace, query))

    async def search(request: Request) -> Response:
        query = query_of(request, LiveSearchQuery)
        find = find_text if query.in_text else find_names
        return answer(await asyncio.to_thread(as_account, account, find, workspace, query))

    async def head(request: Request) -> Response:
        query = query_of(request, LiveHeadQuery)
        return answer(await asyncio.to_thread(as_account, account, read_head, workspace, query))

    async def put(request: Request) -> Response:
        return answer(await asyncio.to_thread(put_file, workspace, account, await body_of(request, PutFile)))

    async def upload(request: Request) -> Response:
        query, content = query_of(request, PlaceUploadQuery), await request.body()
        async with admitting_upload(_saved_end(request)):
            return answer(await asyncio.to_thread(as_account, account, place_upload, workspace, query.path, content))

    return [
        Route("/files/uploads", upload, methods=["PUT"]),
        Route("/files/tree", tree, methods=["GET"]),
        Route("/files/search", search, methods=["GET"]),
        Route("/files/head", head, methods=["GET"]),
        Route("/files/put", put, methods=["POST"]),
    ]


def _saved_end(request: Request) -> UUID | None:
    with suppress(ValueError):
        return UUID(request.headers.get(SAVED_END_HEADER, ""))
    return None
