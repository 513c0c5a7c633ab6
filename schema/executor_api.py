"""The executor's HTTP contract, shared by its service and the client in jobs/."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from schema.events import SourceEvent, TodoUpdate
from schema.options import RunOptions
from schema.wire import Json, Request, Text, Wire

TRACE_HEADERS = ("x-trace-id", "x-trace-session-id", "x-trace-run-id", "x-trace-executor-id", "x-trace-operation")


def executor_id(session_id: UUID, epoch: int) -> str:
    """What log lines and trace headers call the executor of a session's place in this epoch."""
    return f"{session_id}:{epoch}"


class Callback(Wire):
    """Where an attempt's events go, and the key that signs them (Standard Webhooks, `whsec_...`)."""

    url: str
    key: str = Field(repr=False)


class Resume(Wire):
    """The agent's own conversation to go on with. `continuing` = the same run was interrupted after its prompt was
    delivered, so the agent is told to go on and never given the prompt again."""

    agent_session_id: str
    continuing: bool = False


class Answer(Wire):
    """`POST /runs/{runId}/human-loop/{requestId}`: the stored answer, delivered any number of times, applied once.
    `by`: what has decided; an agent is never told that a person did when nobody answered in time."""

    request_id: UUID
    decision: Literal["allow", "allow_always", "deny", "answer", "cancel"]
    option_id: str | None = None
    reason: str | None = None
    answers: Json | None = None
    arguments: Json | None = None
    by: Literal["person", "rule", "timeout"] = "person"


class CarriedAnswer(Wire):
    """An answer to a request of an earlier attempt, for the same call (by its fingerprint) when it is asked again: used
    once, and void as soon as the agent asks for something else or its turn ends."""

    request_id: UUID
    fingerprint: str
    title: str
    answer: Answer


class Handover(Wire):
    """What was said to other providers since this one last had a turn, for an agent that does not know it.

    `text` is labelled as such and comes before the prompt; `tokens` is an estimate, `left_out` counts the runs that did
    not fit.
    """

    providers: list[str]
    text: str
    runs: int
    left_out: int
    tokens: int


class StartRun(Wire):
    """`POST /runs`. `claim` guards against a zombie job: an executor refuses one lower than it has seen for the run.
    `todos` are the session's groups as they are, so that their ids stay."""

    run_id: UUID
    session_id: UUID
    attempt: int = Field(ge=1)
    claim: int = Field(ge=1)
    epoch: int = Field(ge=1)
    provider: str
    prompt: str
    options: RunOptions = Field(default_factory=RunOptions)
    timeout_seconds: float | None = None
    resume: Resume | None = None
    answers: list[CarriedAnswer] = Field(default_factory=list)
    todos: list[TodoUpdate] = Field(default_factory=list)
    handover: Handover | None = None
    callback: Callback
    traceparent: str | None = None


class RunState(Wire):
    """`GET /runs/{runId}`. An unknown run is 404. `last_n` is the last event spooled, `acked_n` the last one that the
    control plane acknowledged. `reason` is the sentence why a run is `refused`: stopped before it was started here, no
    longer ours, or its events were not taken."""

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
    """Query of `DELETE /runs/{runId}`: `claim` also refuses a start with a lower claim that arrives later. `park`: the
    agent ends, the run does not, and its open requests stay open."""

    claim: int = Field(default=0, ge=0)
    park: bool = False


class ExecutorHealth(Wire):
    """`GET /health`, without a token. `runs` counts agents that live now. `restored`: a restore has put here what was
    asked for in this epoch; a place that nobody asked to restore is not, and may be used."""

    status: Literal["ok"] = "ok"
    session_id: UUID
    epoch: int
    runtime_version: str
    runs: int
    spooled: int
    restored: bool = False


class CallbackBody(Request):
    """`POST /api/runs/{runId}/callbacks`; no events is a heartbeat."""

    epoch: int = Field(ge=0)
    attempt: int = Field(ge=1)
    events: list[SourceEvent] = Field(default_factory=list, max_length=1000)


class CallbackAnswer(Wire):
    """`stop_requested` repeats a stop to an executor that nobody can reach, and to the driver of a bound run."""

    accepted: int
    duplicates: int
    last_seq: int
    stop_requested: bool = False


class Proved(Wire):
    """What the conformance probe (`make probe`) found of one version, by capability or option, and when."""

    at: AwareDatetime
    capabilities: dict[str, bool]


class ProviderDeclared(Wire):
    """What one provider says of itself, read from the executor's registry.

    `options` names the keys of RunOptions that it can take; `capabilities` is the declared set; `proved` is of exactly
    this `version`. `ready` is false with a `reason` when its program or login is missing.
    """

    name: Text
    title: str
    ready: bool
    reason: str | None = None
    version: str | None = None
    options: list[str] = Field(default_factory=list)
    capabilities: dict[str, bool] = Field(default_factory=dict)
    proved: Proved | None = None
    default_model: str | None = None
    default_mode: Literal["auto", "ask"] = "ask"


class ValidateWorkspace(Request):
    """`POST /workspace/validate`: paths are absolute (`/workspace/...`, `/agent/...`), or relative to the workspace."""

    required_paths: list[Text] = Field(default_factory=list, max_length=10_000)
    runtime_version: Text | None = None


class WorkspaceFound(Wire):
    """`found` says what each path that is there is, by `paths`, and the executor's `runtimeVersion`."""

    ok: bool
    missing: list[str]
    found: Json


class LinkAgentData(Request):
    session_id: UUID
    provider: Text


class AgentDataLinked(Wire):
    """Folders of the agent's home that are there now, relative to it."""

    linked: list[str]


class CallRecord(Wire):
    """One call that an executor answered (`GET /events`). `trace` holds those of TRACE_HEADERS that came with it."""

    at: datetime
    method: str
    path: str
    status: int
    trace: dict[str, str]


class CallRecords(Wire):
    """The newest last."""

    items: list[CallRecord]
