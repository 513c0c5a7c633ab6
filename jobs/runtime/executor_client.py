"""Call an executor, retrying only where a retry can help.

The client retries network errors, timeouts, the configured 5xx, and 429 after its Retry-After; never another 4xx.
Pauses grow by the same step each time. A call that fails in the end raises ExecutorError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeVar
from uuid import UUID

import httpx
import stamina
from pydantic import ValidationError

from jobs.runtime.problem_body import problem_of
from jobs.runtime.trace import Trace
from schema.errors import RunyardError
from schema.executor_api import (
    END_BEING_KEPT,
    Answer,
    ExecutorHealth,
    PendingCallback,
    PendingCallbacks,
    RenewedCallbacks,
    RunState,
    StartRun,
    ValidateWorkspace,
    WorkspaceFound,
)
from schema.live_files import FilePut, PutFile
from schema.retry_after import LONGEST_RETRY_AFTER, retry_after_seconds
from schema.wire import Json, Wire
from schema.workspace_api import Links, OperationState, PutBackWorkspace, RestoreWorkspace, SyncQuery, SyncWorkspace

TOO_MANY_REQUESTS = 429
HEALTH_SECONDS = 2.0
OPERATION_SECONDS = 10.0
"""The time beyond the requested wait that an executor may take to report an operation's progress."""
FILES_SECONDS = 4.0
PUT_SECONDS = 110.0
"""The time that an executor may take to put a live file into the object store."""
LiveVerb = Literal["tree", "search", "head"]
FailureKind = Literal["http", "timeout", "network"]


class ExecutorError(RunyardError):
    """A call to an executor failed, or the executor refused it.

    `attempt` counts from 1. `status` and `problem` (the stable code) are set when the executor answered, `paths` when
    it named some. `retry_after` is in seconds.
    """

    code: ClassVar[str] = "executor_error"

    def __init__(
        self,
        detail: str,
        *,
        kind: FailureKind,
        path: str,
        attempt: int,
        attempts_allowed: int,
        status: int | None = None,
        problem: str | None = None,
        paths: Sequence[str] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.path = path
        self.attempt = attempt
        self.attempts_allowed = attempts_allowed
        self.status = status
        self.problem = problem
        self.paths = tuple(paths)
        self.retry_after = retry_after

    @property
    def is_refusal(self) -> bool:
        """Whether the executor would refuse a retry too."""
        return self.status is not None and 400 <= self.status < 500 and self.status != TOO_MANY_REQUESTS


@dataclass(frozen=True)
class Endpoint:
    """An executor's URL, and the bearer token that it expects.

    `key_id` names the secret key that the token was made with; None for a token that someone else made.
    """

    base_url: str
    token: str = field(repr=False)
    key_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class RetryRules:
    """The rules for retries. `delay_seconds` is the step by which pauses grow; `attempts` includes the first call."""

    attempts: int = 4
    delay_seconds: float = 0.2
    status_codes: tuple[int, ...] = (500, 502, 503, 504)

    def pause_after(self, error: Exception) -> float | bool:
        """Return the seconds to wait before a retry; False when a retry cannot help."""
        if not isinstance(error, ExecutorError) or error.problem == END_BEING_KEPT:  # that takes longer: callers wait
            return False
        if error.status == TOO_MANY_REQUESTS and error.retry_after is not None:
            return error.retry_after if error.retry_after <= LONGEST_RETRY_AFTER else False
        if error.kind == "http" and error.status not in (*self.status_codes, TOO_MANY_REQUESTS):
            return False
        return self.delay_seconds * error.attempt


class _Operation(Wire):
    operation_id: UUID


ONCE = RetryRules(attempts=1)
Parsed = TypeVar("Parsed", bound=Wire)


@dataclass(frozen=True)
class Call:
    """A request. `timeout` is in seconds; None means the client's own."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Json | None = None
    content: bytes | None = field(default=None, repr=False)
    timeout: float | None = None

    @property
    def path(self) -> str:
        return httpx.URL(self.url).path


class ExecutorClient:
    """The client of a process for all executors. Threads share its connections."""

    def __init__(self, rules: RetryRules, *, timeout_seconds: float) -> None:
        self._rules = rules
        # The client reaches executors directly: a proxy in the environment is meant for agents.
        self._http = httpx.Client(
            timeout=timeout_seconds,
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=30),
        )

    def close(self) -> None:
        self._http.close()

    def health(self, base_url: str) -> ExecutorHealth:
        """Return the executor's health: one call without a token and with a short timeout."""
        call = Call("GET", f"{base_url}/health", timeout=HEALTH_SECONDS)
        return self._parsed(ExecutorHealth, self._call(call, ONCE), call)

    def start_run(self, endpoint: Endpoint, start: StartRun, trace: Trace) -> RunState:
        call = _call(endpoint, "POST", "/runs", trace.headers("run.start"), body=start.to_json())
        return self._parsed(RunState, self._call(call, self._rules), call)

    def run_state(self, endpoint: Endpoint, run_id: UUID, trace: Trace) -> RunState | None:
        """Return the run's state, in one call; None when the executor does not know the run."""
        call = _call(endpoint, "GET", f"/runs/{run_id}", trace.headers("run.state"), timeout=HEALTH_SECONDS)
        return self._known(RunState, call, ONCE)

    def stop_run(
        self, endpoint: Endpoint, run_id: UUID, *, claim: int, trace: Trace, parks: bool = False
    ) -> RunState | None:
        """Stop the run and return its state; None when the executor does not know the run.

        With `parks` the agent ends and the run stays open.
        """
        query = f"claim={claim}&park=true" if parks else f"claim={claim}"
        call = _call(endpoint, "DELETE", f"/runs/{run_id}?{query}", trace.headers("run.park" if parks else "run.stop"))
        return self._known(RunState, call, self._rules)

    def answer(self, endpoint: Endpoint, run_id: UUID, answer: Answer, trace: Trace) -> None:
        path = f"/runs/{run_id}/human-loop/{answer.request_id}"
        call = _call(endpoint, "POST", path, trace.headers("human_loop.answer"), body=answer.to_json())
        self._call(call, self._rules)

    def pending_callbacks(self, endpoint: Endpoint, trace: Trace) -> list[PendingCallback]:
        """Return the runs that still call back; an empty list for an executor that cannot tell."""
        call = _call(endpoint, "GET", "/callbacks", trace.headers("callbacks.pending"))
        return (self._known(PendingCallbacks, call, self._rules) or PendingCallbacks(items=[])).items

    def renew_callbacks(self, endpoint: Endpoint, renewed: RenewedCallbacks, trace: Trace) -> None:
        headers = trace.headers("callbacks.renew")
        self._call(_call(endpoint, "PUT", "/callbacks", headers, body=renewed.to_json()), self._rules)

    def validate(self, endpoint: Endpoint, request: ValidateWorkspace, trace: Trace) -> WorkspaceFound:
        headers = trace.headers("workspace.validate")
        call = _call(endpoint, "POST", "/workspace/validate", headers, body=request.to_json())
        return self._parsed(WorkspaceFound, self._call(call, self._rules), call)

    def sync(self, endpoint: Endpoint, request: SyncWorkspace, query: SyncQuery, trace: Trace) -> UUID:
        """Begin a sync of the oldest kept end of a run, else of the present state. Return its operation id."""
        path, headers = f"/workspace/sync?{httpx.QueryParams(query.to_json())}", trace.headers("workspace.sync")
        call = _call(endpoint, "POST", path, headers, body=request.to_json())
        return self._parsed(_Operation, self._call(call, self._rules), call).operation_id

    def restore(self, endpoint: Endpoint, request: RestoreWorkspace, trace: Trace) -> UUID:
        """Begin a sync and return its operation id."""
        call = _call(endpoint, "POST", "/workspace/restore", trace.headers("workspace.restore"), body=request.to_json())
        return self._parsed(_Operation, self._call(call, self._rules), call).operation_id

    def put_back(self, endpoint: Endpoint, request: PutBackWorkspace, trace: Trace) -> UUID:
        """Begin to put files back and return the operation id."""
        headers = trace.headers("workspace.put_back")
        call = _call(endpoint, "POST", "/workspace/put-back", headers, body=request.to_json())
        return self._parsed(_Operation, self._call(call, self._rules), call).operation_id

    def operation(self, endpoint: Endpoint, operation_id: UUID, trace: Trace, *, wait: float) -> OperationState | None:
        """Return an operation's state after at most `wait` seconds; None when the executor does not know it."""
        path, headers = f"/workspace/operations/{operation_id}?wait={wait:g}", trace.headers("workspace.operation")
        call = _call(endpoint, "GET", path, headers, timeout=wait + OPERATION_SECONDS)
        return self._known(OperationState, call, self._rules)

    def give_links(self, endpoint: Endpoint, operation_id: UUID, links: Links, trace: Trace) -> None:
        path, headers = f"/workspace/operations/{operation_id}/links", trace.headers("workspace.links")
        self._call(_call(endpoint, "POST", path, headers, body=links.to_json()), self._rules)

    def read_files(self, endpoint: Endpoint, verb: LiveVerb, query: Wire, result: type[Parsed], trace: Trace) -> Parsed:
        """Read the live workspace, in one call: a caller who waits has the snapshot to fall back on."""
        path = f"/files/{verb}?{httpx.QueryParams(query.to_json())}"
        call = _call(endpoint, "GET", path, trace.headers(f"files.{verb}"), timeout=FILES_SECONDS)
        return self._parsed(result, self._call(call, ONCE), call)

    def put_file(self, endpoint: Endpoint, request: PutFile, trace: Trace) -> FilePut:
        headers = trace.headers("files.put")
        call = _call(endpoint, "POST", "/files/put", headers, body=request.to_json(), timeout=PUT_SECONDS)
        return self._parsed(FilePut, self._call(call, ONCE), call)

    def place_upload(self, endpoint: Endpoint, path: str, content: bytes, headers: Mapping[str, str]) -> None:
        url = f"/files/uploads?{httpx.QueryParams({'path': path})}"
        self._call(_call(endpoint, "PUT", url, headers, content=content), self._rules)

    def _known(self, kind: type[Parsed], call: Call, rules: RetryRules) -> Parsed | None:
        try:
            return self._parsed(kind, self._call(call, rules), call)
        except ExecutorError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def _call(self, call: Call, rules: RetryRules) -> httpx.Response:
        for attempt in stamina.retry_context(on=rules.pause_after, attempts=rules.attempts, timeout=None):
            with attempt:
                return self._send(call, attempt=attempt.num, attempts_allowed=rules.attempts)
        raise AssertionError("a retry context ends with an answer or an error")

    def _send(self, call: Call, *, attempt: int, attempts_allowed: int) -> httpx.Response:
        try:
            answer = self._http.request(
                call.method,
                call.url,
                json=call.body,
                content=call.content,
                headers=call.headers,
                timeout=httpx.USE_CLIENT_DEFAULT if call.timeout is None else call.timeout,
            )
        except httpx.TimeoutException:
            raise _error(call, "timeout", attempt, attempts_allowed, "did not answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = f"could not be reached ({type(error).__name__}: {error})"
            raise _error(call, "network", attempt, attempts_allowed, why) from None
        if answer.is_success:
            return answer
        raise _refusal(call, answer, attempt, attempts_allowed)

    def _parsed(self, kind: type[Parsed], answer: httpx.Response, call: Call) -> Parsed:
        try:
            return kind.model_validate_json(answer.content)
        except ValidationError:
            why = "sent an answer that breaks the contract"
            raise _error(call, "http", 1, 1, why, status=answer.status_code) from None


def _call(
    endpoint: Endpoint,
    method: str,
    path: str,
    trace: Mapping[str, str],
    *,
    body: Json | None = None,
    content: bytes | None = None,
    timeout: float | None = None,
) -> Call:
    headers = {"authorization": f"Bearer {endpoint.token}", **trace}
    return Call(method, endpoint.base_url.rstrip("/") + path, headers, body, content, timeout)


def _error(
    call: Call, kind: FailureKind, attempt: int, attempts_allowed: int, why: str, *, status: int | None = None
) -> ExecutorError:
    return ExecutorError(
        f"The executor {why}: {call.method} {call.path}, call {attempt} of {attempts_allowed}.",
        kind=kind,
        path=call.path,
        attempt=attempt,
        attempts_allowed=attempts_allowed,
        status=status,
    )


def _refusal(call: Call, answer: httpx.Response, attempt: int, attempts_allowed: int) -> ExecutorError:
    problem = problem_of(answer)
    code, detail, paths = problem.get("code"), problem.get("detail"), problem.get("paths")
    explanation = f": {detail}" if isinstance(detail, str) else f" to {call.method} {call.path}"
    return ExecutorError(
        f"The executor answered {answer.status_code}{explanation}",
        kind="http",
        path=call.path,
        attempt=attempt,
        attempts_allowed=attempts_allowed,
        status=answer.status_code,
        problem=code if isinstance(code, str) else None,
        paths=[path for path in paths if isinstance(path, str)] if isinstance(paths, list) else (),
        retry_after=retry_after_seconds(answer.headers.get("retry-after")),
    )
