"""Parse the executor's calls and write its answers; run an action as the agent's account."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from executor.http.problems import MalformedBody
from executor.process.account import AgentAccount
from schema.errors import Invalid
from schema.wire import Wire

T = TypeVar("T", bound=BaseModel)
A = TypeVar("A")
P = ParamSpec("P")


def as_account(account: AgentAccount, act: Callable[P, A], *args: P.args, **kwargs: P.kwargs) -> A:
    """Act as the account. Call this in a thread."""
    with account.acting():
        return act(*args, **kwargs)


async def body_of(request: Request, kind: type[T]) -> T:
    return parsed(kind, await request.body())


def query_of(request: Request, kind: type[T]) -> T:
    return parsed(kind, dict(request.query_params))


def parsed(kind: type[T], content: bytes | dict[str, str]) -> T:
    """Parse a body or query as `kind`. The error names the bad field and never echoes its value, which may be a key."""
    try:
        return kind.model_validate_json(content) if isinstance(content, bytes) else kind.model_validate(content)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
        if fault["type"] == "json_invalid":
            raise MalformedBody(fault["msg"]) from None
        raise Invalid(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None


def path_id(request: Request, name: str) -> UUID:
    return UUID(str(request.path_params[name]))


def answer(message: Wire, status: int = 200) -> Response:
    return JSONResponse(message.to_json(), status)
