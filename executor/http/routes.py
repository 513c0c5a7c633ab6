"""Route the executor's HTTP calls: each route parses the request, calls one verb and answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from executor import RUNTIME_VERSION
from executor.agents.roots import link_agent_data, validate_workspace
from executor.http.file_routes import file_routes
from executor.http.guard import Guard
from executor.http.parsing import answer, as_account, body_of, path_id, query_of
from executor.http.problems import on_error
from executor.runs.registry import ExecutorIdentity, Runs
from executor.workspaces.sync_operations import SyncOperations
from schema.errors import Conflict, Invalid, RunyardError
from schema.executor_api import (
    Answer,
    CallRecords,
    ExecutorHealth,
    LinkAgentData,
    PendingCallbacks,
    ProviderDeclared,
    RenewedCallbacks,
    StartRun,
    StopRun,
    ValidateWorkspace,
)
from schema.secret_keys import credential_id
from schema.workspace_api import Links, PutBackWorkspace, RestoreWorkspace, SyncQuery, SyncWorkspace, WaitForOperation

DeclareProviders = Callable[[], list[ProviderDeclared]]


def make_app(
    *,
    identity: ExecutorIdentity,
    runs: Runs,
    sync_operations: SyncOperations,
    declare_providers: DeclareProviders,
    token: str,
    fail: Callable[[ASGIApp], ASGIApp] = lambda app: app,
) -> Guard:
    """Build the whole service as an ASGI application. `fail` is for tests: it wraps the routes."""
    routes = [
        *_run_routes(runs),
        *_workspace_routes(identity),
        *_sync_routes(sync_operations),
        *file_routes(identity, sync_operations.admitting_upload),
        *_health_routes(identity, runs, sync_operations, token_id=credential_id(token)),
        *_report_routes(declare_providers, lambda: CallRecords(items=list(guard.calls))),
    ]
    handlers = dict.fromkeys((RunyardError, HTTPException, Exception), on_error)
    guard = Guard(fail(Starlette(routes=routes, exception_handlers=handlers)), token=token)
    return guard


def _run_routes(runs: Runs) -> list[Route]:
    async def start(request: Request) -> Response:
        state, is_new = await runs.start(await body_of(request, StartRun))
        return answer(state, 202 if is_new else 200)

    async def state(request: Request) -> Response:
        return answer(await runs.state(path_id(request, "run_id")))

    async def stop(request: Request) -> Response:
        query = query_of(request, StopRun)
        end = runs.park if query.park else runs.stop
        return answer(await end(path_id(request, "run_id"), query.claim), 202)

    async def answer_request(request: Request) -> Response:
        run_id, request_id = path_id(request, "run_id"), path_id(request, "request_id")
        given = await body_of(request, Answer)
        if given.request_id != request_id:
            raise Invalid("The body's requestId differs from the request id in the path. Send the same id in both.")
        is_first = await runs.answer(run_id, given)
        return answer(await runs.state(run_id), 202 if is_first else 200)

    async def pending_callbacks(_request: Request) -> Response:
        return answer(PendingCallbacks(items=await runs.pending_callbacks()))

    async def renew_callbacks(request: Request) -> Response:
        await runs.renew_callbacks(await body_of(request, RenewedCallbacks))
        return Response(status_code=204)

    return [
        Route("/callbacks", pending_callbacks, methods=["GET"]),
        Route("/callbacks", renew_callbacks, methods=["PUT"]),
        Route("/runs", start, methods=["POST"]),
        Route("/runs/{run_id:uuid}", state, methods=["GET"]),
        Route("/runs/{run_id:uuid}", stop, methods=["DELETE"]),
        Route("/runs/{run_id:uuid}/human-loop/{request_id:uuid}", answer_request, methods=["POST"]),
    ]


def _workspace_routes(identity: ExecutorIdentity) -> list[Route]:
    async def validate(request: Request) -> Response:
        body = await body_of(request, ValidateWorkspace)
        return answer(
            await asyncio.to_thread(
                as_account, identity.account, validate_workspace, identity.workspace, identity.home, body
            )
        )

    async def link(request: Request) -> Response:
        body = await body_of(request, LinkAgentData)
        if body.session_id != identity.session_id:
            raise Conflict("This executor belongs to another session.", code="wrong_session")
        return answer(await asyncio.to_thread(as_account, identity.account, link_agent_data, identity.home))

    return [
        Route("/workspace/validate", validate, methods=["POST"]),
        Route("/workspace/link-agent-data", link, methods=["POST"]),
    ]


def _sync_routes(sync_operations: SyncOperations) -> list[Route]:
    async def sync(request: Request) -> Response:
        query = query_of(request, SyncQuery)
        return answer(await sync_operations.sync(await body_of(request, SyncWorkspace), query), 202)

    async def restore(request: Request) -> Response:
        return answer(await sync_operations.restore(await body_of(request, RestoreWorkspace)), 202)

    async def put_back(request: Request) -> Response:
        return answer(await sync_operations.put_back(await body_of(request, PutBackWorkspace)), 202)

    async def state(request: Request) -> Response:
        query = query_of(request, WaitForOperation)
        return answer(await sync_operations.state(path_id(request, "operation_id"), wait=query.wait))

    async def links(request: Request) -> Response:
        return answer(sync_operations.give_links(path_id(request, "operation_id"), await body_of(request, Links)))

    return [
        Route("/workspace/sync", sync, methods=["POST"]),
        Route("/workspace/put-back", put_back, methods=["POST"]),
        Route("/workspace/restore", restore, methods=["POST"]),
        Route("/workspace/operations/{operation_id:uuid}", state, methods=["GET"]),
        Route("/workspace/operations/{operation_id:uuid}/links", links, methods=["POST"]),
    ]


def _health_routes(
    identity: ExecutorIdentity, runs: Runs, sync_operations: SyncOperations, *, token_id: str
) -> list[Route]:
    async def health(_request: Request) -> Response:
        report = ExecutorHealth(
            session_id=identity.session_id,
            epoch=identity.epoch,
            runtime_version=RUNTIME_VERSION,
            runs=1 if runs.live else 0,
            spooled=await runs.undelivered(),
            restored=sync_operations.restored,
            token_id=token_id,
        )
        return answer(report)

    return [Route("/health", health, methods=["GET"])]


def _report_routes(declare_providers: DeclareProviders, calls: Callable[[], CallRecords]) -> list[Route]:
    async def events(_request: Request) -> Response:
        return answer(calls())

    async def providers(_request: Request) -> Response:
        declared = await asyncio.to_thread(declare_providers)
        return JSONResponse([provider.to_json() for provider in declared])

    return [
        Route("/events", events, methods=["GET"]),
        Route("/providers", providers, methods=["GET"]),
    ]
