"""Define the executor's HTTP contract, which its service and the client in jobs/ share."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from schema.events import SourceEvent, TodoUpdate
from schema.options import AppOptions
from schema.wire import Json, Request, Text, Wire

TRACE_HEADERS = ("x-trace-id", "x-trace-session-id", "x-trace-run-id", "x-trace-executor-id", "x-trace-operation")

END_BEING_KEPT = "end_being_kept"
"""503 with this code asks the caller to come again: an end is kept first, and nothing has begun."""


def executor_id(session_id: UUID, epoch: int) -> str:
    """Return the executor's name in log lines and trace headers: its session and epoch."""
    return f"{session_id}:{epoch}"


class Callback(Wire):
    """The address for an attempt's events, and the key that signs them (Standard Webhooks, `whsec_...`)."""

    url: str
    key: str = Field(repr=False)


class Resume(Wire):
    """The agent's own conversation to resume.

    `continuing`: the same run was interrupted after its prompt was delivered. The agent is told to continue, and never
    receives the prompt again.
    """

    agent_session_id: str
    continuing: bool = False


class Answer(Wire):
    """`POST /runs/{runId}/human-loop/{requestId}`: a stored answer, delivered any number of times and applied once.

    `by` says who decided. An agent is never told that a person decided when the request timed out.
    """

    request_id: UUID
    decision: Literal["allow", "allow_always", "deny", "answer", "cancel"]
    option_id: str | None = None
    reason: str | None = None
    answers: Json | None = None
    arguments: Json | None = None
    by: Literal["person", "rule", "timeout"] = "person"


class CarriedAnswer(Wire):
    """An answer to a request of an earlier attempt, for the same call (by its fingerprint) when it is asked again.

    It is used once. It becomes void when the agent asks for something else or its turn ends.
    """

    request_id: UUID
    fingerprint: str
    title: str
    answer: Answer


class Handover(Wire):
    """The runs of the session that an agent has missed: other providers' since its last turn, or all.

    `text` is labelled as such and precedes the prompt. `tokens` is an estimate; `left_out` counts runs that did not
    fit.
    """

    providers: list[str]
    text: str
    runs: int
    left_out: int
    tokens: int


class Attachment(Wire):
    """A file that the user attached to the prompt; `path` is below the workspace, `size` in bytes."""

    path: str
    mime_type: str
    size: int


class StartRun(Wire):
    """`POST /runs`. `claim` fences zombie jobs: an executor refuses a claim lower than the run's highest.

    `must_ask`: a rule of the run denies or asks, so nothing may keep a call from being asked, whatever the mode.
    `todos` are the session's current groups, so that their ids stay. `cut_off` names tool calls of the attempt before
    that never ended, for the agent that resumes. `handover_if_lost` replaces `handover` when the agent cannot resume.
    `ignore` are patterns of workspace paths that no save holds. `saved_end` is the last ended run whose end the newest
    snapshot holds.
    """

    run_id: UUID
    session_id: UUID
    attempt: int = Field(ge=1)
    claim: int = Field(ge=1)
    epoch: int = Field(ge=1)
    provider: str
    prompt: str
    options: AppOptions = Field(default_factory=AppOptions)
    must_ask: bool = False
    timeout_seconds: float | None = None
    resume: Resume | None = None
    answers: list[CarriedAnswer] = Field(default_factory=list)
    todos: list[TodoUpdate] = Field(default_factory=list)
    handover: Handover | None = None
    handover_if_lost: Handover | None = None
    cut_off: list[str] = Field(default_factory=list)
    attachments: list[Attachment] = Field(default_factory=list)
    ignore: list[str] = Field(default_factory=list)
    saved_end: UUID | None = None
    callback: Callback
    traceparent: str | None = None


class RunState(Wire):
    """`GET /runs/{runId}`; an unknown run is 404.

    `last_n` is the last spooled event, `acked_n` the last one that the control plane acknowledged. `reason` explains
    `refused`: the run was stopped before it arrived, another executor took it over, or its events were refused.
    """

    run_id: UUID
    state: Literal["starting", "running", "waiting", "stopping", "parked", "finished", "lost", "refused"]
    attempt: int
    claim: int
    last_n: int = 0
    acked_n: int = 0
    prompt_delivered: bool = False
    open_requests: list[UUID] = Field(default_factory=list)
    reason: str | None = None


class StopRun(Request):
    """Query of `DELETE /runs/{runId}`.

    `claim` also refuses a later start with this claim or a lower one. `park` ends the agent but not the run; its open
    requests stay open.
    """

    claim: int = Field(default=0, ge=0)
    park: bool = False


class PendingCallback(Wire):
    """A run that still calls back: its address, and the name of the key that signs its calls (`credential_id`)."""

    run_id: UUID
    attempt: int
    url: str
    key_id: str


class PendingCallbacks(Wire):
    """`GET /callbacks`: the runs that live or have undelivered events."""

    items: list[PendingCallback]


class RenewedCallback(Wire):
    run_id: UUID
    attempt: int
    callback: Callback


class RenewedCallbacks(Request):
    """`PUT /callbacks`: where these runs call from now on, and how they sign. Other attempts stay as they are."""

    items: list[RenewedCallback] = Field(max_length=1000)


class ExecutorHealth(Wire):
    """`GET /health`, without a token. `runs` counts live agents.

    `restored`: this epoch's requested restore is done. A workspace without a requested restore reports false and is
    ready for use. `token_id` names the token that the executor expects (`credential_id`).
    """

    status: Literal["ok"] = "ok"
    session_id: UUID
    epoch: int
    runtime_version: str
    runs: int
    spooled: int
    restored: bool = False
    token_id: str | None = None


class CallbackBody(Request):
    """`POST /api/runs/{runId}/callbacks`. Without events it is a heartbeat."""

    epoch: int = Field(ge=0)
    attempt: int = Field(ge=1)
    events: list[SourceEvent] = Field(default_factory=list, max_length=1000)


class CallbackAnswer(Wire):
    """`stop_requested` repeats a stop to an executor that cannot be reached, and to the driver of a bound run."""

    accepted: int
    duplicates: int
    last_seq: int
    stop_requested: bool = False


class Proved(Wire):
    """The conformance probe's (`make probe`) results for one version, by capability or option, and their time."""

    at: AwareDatetime
    capabilities: dict[str, bool]


class DeclaredModel(Wire):
    """A model of a provider's entry. `contextSize` is in tokens."""

    id: Text
    title: Text
    context_size: int | None = None


class ProviderDeclared(Wire):
    """A provider as the executor's registry declares it.

    `options` names the supported keys of RunOptions. `capabilities` is the declared set. `proved` applies to exactly
    this `version`. `ready` is false, with a `reason`, when its program or login is missing: `reasonCode` names the
    sentence, and `reasonValues` are what it says of this provider. Older executors send neither.
    """

    name: Text
    title: str
    ready: bool
    reason: str | None = None
    reason_code: Text | None = None
    reason_values: dict[str, str] = Field(default_factory=dict)
    version: str | None = None
    options: list[str] = Field(default_factory=list)
    capabilities: dict[str, bool] = Field(default_factory=dict)
    proved: Proved | None = None
    default_model: str | None = None
    default_mode: Literal["auto", "ask"] = "ask"
    models: list[DeclaredModel] = Field(default_factory=list)
    sandboxes: list[Text] = Field(default_factory=list)


class ValidateWorkspace(Request):
    """`POST /workspace/validate`. Paths are absolute (`/workspace/...`, `/agent/...`) or relative to the workspace."""

    required_paths: list[Text] = Field(default_factory=list, max_length=10_000)
    runtime_version: Text | None = None


class WorkspaceFound(Wire):
    """The check's result. `found` holds the kind of each existing path (`paths`) and the executor's
    `runtimeVersion`."""

    ok: bool
    missing: list[str]
    found: Json


class LinkAgentData(Request):
    session_id: UUID
    provider: Text


class AgentDataLinked(Wire):
    """The existing folders of the agent's home, relative to it."""

    linked: list[str]


class CallRecord(Wire):
    """One call that an executor answered (`GET /events`). `trace` holds the TRACE_HEADERS that came with it."""

    at: datetime
    method: str
    path: str
    status: int
    trace: dict[str, str]


class CallRecords(Wire):
    """Recorded calls, the newest last."""

    items: list[CallRecord]
