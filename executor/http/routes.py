"""Route the executor's HTTP calls: each route parses the request, calls one verb and answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from executor import RUNTIME_VERSION
from executor.agents.roots import link_agent_data, validate_workspace
from executor.http.guard import Guard
from executor.http.problems import MalformedBody, on_error
from executor.process.account import AgentAccount
from executor.runs.registry import ExecutorIdentity, Runs
from executor.workspaces.sync_operations import SyncOperations
from schema.errors import Conflict, Invalid, RunyardError
from schema.executor_api import (
    Answer,
    CallRecords,
    ExecutorHealth,
    LinkAgentData,
    ProviderDeclared,
    StartRun,
    StopRun,
    ValidateWorkspace,
)
from schema.wire import Wire
from schema.workspace_api import Links, RestoreWorkspace, SyncWorkspace, WaitForOperation

DeclareProviders = Callable[[], list[ProviderDeclared]]
T = TypeVar("T", bound=BaseModel)
A = TypeVar("A")
P = ParamSpec("P")


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
        *_report_routes(
            identity, runs, sync_operations, declare_providers, lambda: CallRecords(items=list(guard.calls))
        ),
    ]
    handlers = dict.fromkeys((RunyardError, HTTPException, Exception), on_error)
    guard = Guard(fail(Starlette(routes=routes, exception_handlers=handlers)), token=token)
    return guard


def _run_routes(runs: Runs) -> list[Route]:
    async def start(request: Request) -> Response:
        state, is_new = await runs.start(await _body(request, StartRun))
        return _answer(state, 202 if is_new else 200)

    async def state(request: Request) -> Response:
        return _answer(await runs.state(_id(request, "run_id")))

    async def stop(request: Request) -> Response:
        query = _parsed(StopRun, dict(request.query_params))
        end = runs.park if query.park else runs.stop
        return _answer(await end(_id(request, "run_id"), query.claim), 202)

    async def answer_request(request: Request) -> Response:
        run_id, request_id = _id(request, "run_id"), _id(request, "request_id")
        answer = await _body(request, Answer)
        if answer.request_id != request_id:
            raise Invalid("The body's requestId differs from the request id in the path. Send the same id in both.")
        is_first = await runs.answer(run_id, answer)
        return _answer(await runs.state(run_id), 202 if is_first else 200)

    return [
        Route("/runs", start, methods=["POST"]),
        Route("/runs/{run_id:uuid}", state, methods=["GET"]),
        Route("/runs/{run_id:uuid}", stop, methods=["DELETE"]),
        Route("/runs/{run_id:uuid}/human-loop/{request_id:uuid}", answer_request, methods=["POST"]),
    ]


def _workspace_routes(identity: ExecutorIdentity) -> list[Route]:
    async def validate(request: Request) -> Response:
        body = await _body(request, ValidateWorkspace)
        return _answer(
            await asyncio.to_thread(_as, identity.account, validate_workspace, identity.workspace, identity.home, body)
        )

    async def link(request: Request) -> Response:
        body = await _body(request, LinkAgentData)
        if body.session_id != identity.session_id:
            raise Conflict("This executor belongs to another session.", code="wrong_session")
        return _answer(await asyncio.to_thread(_as, identity.account, link_agent_data, identity.home))

    return [
        Route("/workspace/validate", validate, methods=["POST"]),
        Route("/workspace/link-agent-data", link, methods=["POST"]),
    ]


def _sync_routes(sync_operations: SyncOperations) -> list[Route]:
    async def sync(request: Request) -> Response:
        return _answer(await sync_operations.sync(await _body(request, SyncWorkspace)), 202)

    async def restore(request: Request) -> Response:
        return _answer(await sync_operations.restore(await _body(request, RestoreWorkspace)), 202)

    async def state(request: Request) -> Response:
        query = _parsed(WaitForOperation, dict(request.query_params))
        return _answer(await sync_operations.state(_id(request, "operation_id"), wait=query.wait))

    async def links(request: Request) -> Response:
        return _answer(sync_operations.give_links(_id(request, "operation_id"), await _body(request, Links)))

    return [
        Route("/workspace/sync", sync, methods=["POST"]),
        Route("/workspace/restore", restore, methods=["POST"]),
        Route("/workspace/operations/{operation_id:uuid}", state, methods=["GET"]),
        Route("/workspace/operations/{operation_id:uuid}/links", links, methods=["POST"]),
    ]


def _report_routes(
    identity: ExecutorIdentity,
    runs: Runs,
    sync_operations: SyncOperations,
    declare_providers: DeclareProviders,
    calls: Callable[[], CallRecords],
) -> list[Route]:
    async def health(_request: Request) -> Response:
        report = ExecutorHealth(
            session_id=identity.session_id,
            epoch=identity.epoch,
            runtime_version=RUNTIME_VERSION,
            runs=1 if runs.live else 0,
            spooled=await runs.undelivered(),
            restored=sync_operations.restored,
        )
        return _answer(report)

    async def events(_request: Request) -> Response:
        return _answer(calls())

    async def providers(_request: Request) -> Response:
        declared = await asyncio.to_thread(declare_providers)
        return JSONResponse([provider.to_json() for provider in declared])

    return [
        Route("/health", health, methods=["GET"]),
        Route("/events", events, methods=["GET"]),
        Route("/providers", providers, methods=["GET"]),
    ]


def _as(account: AgentAccount, act: Callable[P, A], *args: P.args, **kwargs: P.kwargs) -> A:
    with account.acting():
        return act(*args, **kwargs)


async def _body(request: Request, kind: type[T]) -> T:
    return _parsed(kind, await request.body())


def _parsed(kind: type[T], content: bytes | dict[str, str]) -> T:
    """Parse a body or query as `kind`. The error names the bad field and never echoes its value, which may be a key."""
    try:
        return kind.model_validate_json(content) if isinstance(content, bytes) else kind.model_validate(content)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
        if fault["type"] == "json_invalid":
            raise MalformedBody(fault["msg"]) from None
        raise Invalid(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None


def _id(request: Request, name: str) -> UUID:
    return UUID(str(request.path_params[name]))


def _answer(message: Wire, status: int = 200) -> Response:
    return JSONResponse(message.to_json(), status)
