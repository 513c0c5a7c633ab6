"""Start a run: store it as queued with its job, in one transaction."""

from __future__ import annotations

import hmac
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from handlers.access.permissions import Actor, session_for
from handlers.apps.apps import app_by_id, app_named
from handlers.enqueue import defer_run
from handlers.event_log import NewEvent, append, hold_session, run_event
from handlers.providers.registry import RegisteredProvider, provider_named, refuse_unsupported
from handlers.runs.limits import put_first
from handlers.runs.settle import finish
from handlers.runs.shares import refuse_beyond_shares
from handlers.runs.stop import StopPolicy, stop
from handlers.sessions.create import create_session, head_of_new, title_of
from handlers.workspaces.uploads import attach
from schema.errors import Conflict, IdempotencyKeyReused, Invalid, SessionBusy
from schema.events import Reason, RunFinished, RunWarning
from schema.human_policy import HumanPolicy, nearest, read_policy
from schema.options import AppOptions, RunOptions
from schema.rows import AppRow, LogHead, RunRow, SessionRow, UserRow
from schema.shares import DAY, NO_RUN_SHARES, RunShares
from schema.sql import Conn, execute, fetch_all, fetch_one, fetch_the, fetch_value, jsonb
from schema.wire import Json

NO_POLICY = HumanPolicy()


@dataclass(frozen=True, kw_only=True)
class Start:
    """A client's request for a run; `timeout_seconds` None means no limit."""

    prompt: str
    provider: str | None = None
    app_id: UUID | None = None
    session_id: UUID | None = None
    options: RunOptions
    multitask: Literal["enqueue", "reject", "interrupt"] = "enqueue"
    max_attempts: int
    timeout_seconds: float | None = None
    human_loop: HumanPolicy = NO_POLICY
    attachments: Sequence[str] = ()
    traceparent: str


@dataclass(frozen=True, kw_only=True)
class Idempotency:
    """The client's key and the SHA-256 of the request body."""

    key: str
    body_digest: bytes


KEY_SECONDS = DAY
"""How long an idempotency key counts at least."""


def forget_old_keys(conn: Conn) -> None:
    """Remove the idempotency keys that are older than a day."""
    execute(conn, "forget_old_idempotency_keys", seconds=KEY_SECONDS)


@dataclass(frozen=True)
class StartedRun:
    """`seq` is the log's number before the run's first event: a reader with this cursor misses no event of it."""

    run: RunRow
    seq: int
    queue_position: int


def start_run(
    conn: Conn,
    actor: Actor,
    start: Start,
    *,
    stop_policy: StopPolicy,
    human_policy: HumanPolicy = NO_POLICY,
    shares: RunShares = NO_RUN_SHARES,
    idempotency: Idempotency | None = None,
) -> StartedRun:
    """Enqueue a run in its session (a new session if none is named). `human_policy` is the deployment's.

    Raises NotFound, CapabilityMissing, SessionBusy, IdempotencyKeyReused, Conflict and ShareUsedUp. Then nothing is
    stored.
    """
    if idempotency is not None:
        known = _known_run(conn, actor, idempotency)
        if known is not None:
            return _started(conn, known)
    refuse_beyond_shares(conn, actor, shares, has_key=idempotency is not None)
    session, app, head = _session(conn, actor, start)
    provider = provider_named(conn, start.provider or app.provider)
    options = with_defaults(app, start.options)
    refuse_unsupported(provider, options)
    refuse_folder_outside(options)
    policy = _human_policy(conn, start.human_loop, app, human_policy)
    events = _make_room(conn, actor, start, session, stop_policy=stop_policy)
    run = _insert(conn, actor, start, session=session, app=app, provider=provider, options=options, policy=policy)
    position = 0 if start.session_id is None else fetch_value(conn, "queue_position", run_id=run.id)
    attach(conn, run.id, session.id, start.attachments)
    events.append(_queued(run, actor, position, start.attachments))
    events += _gate(conn, run, provider, options)
    if position == 0 and not _is_blocked(events):
        _send(conn, start, run)
    append(conn, head, events)
    if idempotency is not None:
        _remember(conn, actor, idempotency, run)
    if _is_blocked(events) or start.multitask == "interrupt":
        run = _again(conn, run)  # it was blocked, or took over a throttling
    return StartedRun(run=run, seq=head.last_seq, queue_position=position)


def _send(conn: Conn, start: Start, run: RunRow) -> None:
    if start.multitask == "interrupt":
        put_first(conn, run.id, session_id=run.session_id)
    else:
        defer_run(conn, run.id)


def _known_run(conn: Conn, actor: Actor, idempotency: Idempotency) -> RunRow | None:
    fetch_value(conn, "lock_idempotency_key", user_id=actor.user_id, key=idempotency.key)
    known = fetch_one(conn, "idempotent_run", _KnownKey, user_id=actor.user_id, key=idempotency.key)
    if known is None:
        return None
    if not hmac.compare_digest(known.body_digest, idempotency.body_digest):
        raise IdempotencyKeyReused()
    return fetch_one(conn, "run_by_id", RunRow, run_id=known.run_id)


@dataclass(frozen=True)
class _KnownKey:
    run_id: UUID
    body_digest: bytes


def _remember(conn: Conn, actor: Actor, idempotency: Idempotency, run: RunRow) -> None:
    execute(
        conn,
        "insert_idempotency_key",
        user_id=actor.user_id,
        key=idempotency.key,
        body_digest=idempotency.body_digest,
        run_id=run.id,
    )


def _started(conn: Conn, run: RunRow) -> StartedRun:
    first = fetch_value(conn, "first_seq_of_run", run_id=run.id)
    position = fetch_value(conn, "queue_position", run_id=run.id)
    return StartedRun(run=run, seq=first - 1, queue_position=position)


def _session(conn: Conn, actor: Actor, start: Start) -> tuple[SessionRow, AppRow, LogHead]:
    if start.session_id is not None:
        session_for(conn, actor, start.session_id)
        head = hold_session(conn, start.session_id)
        session = session_for(conn, actor, start.session_id)  # it may have been deleted before it was locked
        app = app_by_id(conn, session.app_id)
        if start.app_id not in (None, app.id):
            raise Conflict("The session belongs to another app.", code="other_app")
        return session, app, head
    app = app_named(conn, "default") if start.app_id is None else app_by_id(conn, start.app_id)
    session = create_session(conn, actor, app, title=title_of(start.prompt))
    return session, app, head_of_new(session)


def with_defaults(app: AppRow, options: RunOptions) -> AppOptions:
    """Return the app's options, overridden by the request's. A request cannot override what only an app may set."""
    chosen = options.model_dump(by_alias=True, exclude_unset=True)
    return AppOptions.model_validate({**app.options, **chosen})


def _human_policy(conn: Conn, own: HumanPolicy, app: AppRow, deployment: HumanPolicy) -> HumanPolicy:
    """Merge the policies of run, app and deployment; the nearest wins. Raises Invalid when the user to escalate to does
    not exist."""
    policy = nearest(own, read_policy(app.human_loop), deployment)
    kind, _, name = (policy.escalate_to or "").partition(":")
    if policy.on_expiry == "escalate" and kind == "user":
        user = fetch_one(conn, "user_by_id", UserRow, user_id=UUID(name))
        if user is None or user.disabled_at is not None:
            raise Invalid(f"There is no user {name} to escalate to.", code="unknown_user")
    return policy


def _make_room(
    conn: Conn, actor: Actor, start: Start, session: SessionRow, *, stop_policy: StopPolicy
) -> list[NewEvent]:
    """Apply `multitask` to the session's other runs: keep them, refuse the start, or stop them."""
    if start.multitask == "enqueue":
        return []
    others = fetch_all(conn, "unsettled_runs_of_session", RunRow, session_id=session.id)
    if others and start.multitask == "reject":
        raise SessionBusy(runId=str(others[0].id))
    begun = [run for run in others if run.status != "queued" or run.attempt > 0]
    return [event for run in begun for event in stop(conn, run, author=actor.author, policy=stop_policy)]


def _insert(
    conn: Conn,
    actor: Actor,
    start: Start,
    *,
    session: SessionRow,
    app: AppRow,
    provider: RegisteredProvider,
    options: RunOptions,
    policy: HumanPolicy,
) -> RunRow:
    return fetch_the(
        conn,
        "insert_run",
        RunRow,
        session_id=session.id,
        user_id=actor.user_id,
        app_id=app.id,
        app_version=app.version,
        provider=provider.name,
        prompt=start.prompt,
        options=jsonb(options.to_json()),
        warnings=jsonb([warning.to_json() for warning in warnings_of(provider, options)]),
        traceparent=start.traceparent,
        first=start.multitask == "interrupt",
        max_attempts=start.max_attempts,
        timeout_seconds=start.timeout_seconds,
        human_loop=jsonb(policy.to_json()),
    )


def warnings_of(provider: RegisteredProvider, options: RunOptions) -> list[RunWarning]:
    """Return warnings: the provider is not ready, or handles an option differently than requested."""
    warnings = []
    if not provider.declared.ready:
        message = f"{provider.title} is not ready, so the run may fail. {provider.declared.reason or ''}".strip()
        warnings.append(RunWarning(code="provider_not_ready", message=message))
    if options.resume and not provider.can("resume"):
        message = f"{provider.title} cannot resume a conversation: each run begins a new one."
        warnings.append(RunWarning(code="resume_unsupported", message=message))
    return warnings


def refuse_folder_outside(options: RunOptions) -> None:
    """Raise Invalid for a working folder that names a place outside the workspace. Links are the executor's check."""
    cwd = options.cwd or "."
    inside = posixpath.normpath(cwd)
    if inside.startswith(("/", "../")) or inside == "..":
        raise Invalid(
            "options.cwd must be a folder in the workspace, relative to it, such as src.", code="path_outside_workspace"
        )


def _queued(run: RunRow, actor: Actor, position: int, attachments: Sequence[str]) -> NewEvent:
    data: Json = {"status": "queued", "provider": run.provider, "prompt": run.prompt, "queuePosition": position}
    if attachments:
        data["attachments"] = list(attachments)
    return run_event(run, "run.queued", data, author=actor.author)


def _gate(conn: Conn, run: RunRow, provider: RegisteredProvider, options: RunOptions) -> list[NewEvent]:
    """Return the run's warnings; block a run that requires people's answers when the provider cannot ask."""
    events = [run_event(run, "run.warning", dict(warning)) for warning in run.warnings]
    if not cannot_ask(provider, options):
        return events
    message = (
        f"{provider.title} cannot ask a person, but this run requires it. "
        "Choose a provider with the capability humanLoop, or leave out requireHumanLoop."
    )
    blocked = RunFinished(status="blocked", reason=Reason(code="capability_missing", message=message))
    return [*events, *finish(conn, run, blocked)]


def cannot_ask(provider: RegisteredProvider, options: RunOptions) -> bool:
    """Return whether the options require people's answers that the provider cannot ask for."""
    return options.require_human_loop and not provider.can("humanLoop")


def _is_blocked(events: list[NewEvent]) -> bool:
    return events[-1].type == "run.finished"


def _again(conn: Conn, run: RunRow) -> RunRow:
    return fetch_one(conn, "run_by_id", RunRow, run_id=run.id) or run
