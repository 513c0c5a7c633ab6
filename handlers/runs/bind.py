"""Bind a run that an external program drives: it is its session's live run and reports by callbacks."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from handlers.access.permissions import Actor, session_for
from handlers.apps.apps import app_named
from handlers.event_log import append, hold_session, run_event
from handlers.runs.read import run_for
from handlers.runs.shares import refuse_beyond_shares
from handlers.sessions.create import create_session, title_of
from schema.errors import Conflict, SessionBusy
from schema.events import RunStarted
from schema.rows import AppRow, RunRow, SessionRow
from schema.secret_keys import key_id
from schema.shares import NO_RUN_SHARES, RunShares
from schema.signature import callback_key
from schema.sql import Conn, execute, fetch_all, fetch_one


@dataclass(frozen=True, kw_only=True)
class Bind:
    """A request to bind. `provider` is a free name outside the registry. The caller chooses `run_id`."""

    run_id: UUID
    session_id: UUID | None
    provider: str
    prompt: str
    title: str | None
    traceparent: str


@dataclass(frozen=True)
class Bound:
    """A bound run. The key is shown once; rotate it when it is lost."""

    run: RunRow
    callback_key: str


def bind_run(
    conn: Conn, actor: Actor, bind: Bind, *, secret: bytes, lease_seconds: float, shares: RunShares = NO_RUN_SHARES
) -> Bound:
    """Bind a run. Raises SessionBusy when the session has an unsettled run, Conflict when the run id is taken, and
    ShareUsedUp."""
    if fetch_one(conn, "run_by_id", RunRow, run_id=bind.run_id) is not None:
        raise _run_exists()
    refuse_beyond_shares(conn, actor, shares, is_queued=False)
    session = _session(conn, actor, bind)
    head = hold_session(conn, session.id)
    session_for(conn, actor, session.id)  # the session may have been deleted before it was locked
    others = fetch_all(conn, "unsettled_runs_of_session", RunRow, session_id=session.id)
    if others:
        raise SessionBusy("The session has an unsettled run.", runId=str(others[0].id))
    app = fetch_one(conn, "app_by_id", AppRow, app_id=session.app_id)
    run = fetch_one(
        conn,
        "insert_bound_run",
        RunRow,
        run_id=bind.run_id,
        session_id=session.id,
        user_id=actor.user_id,
        app_id=session.app_id,
        app_version=1 if app is None else app.version,
        provider=bind.provider,
        prompt=bind.prompt,
        traceparent=bind.traceparent,
        epoch=head.epoch,
        key_id=key_id(secret),
    )
    if run is None:  # a concurrent call bound this id in another session
        raise _run_exists()
    execute(conn, "extend_lease", run_id=run.id, numbered=0, lease_seconds=lease_seconds)
    queued = {"status": "queued", "provider": run.provider, "prompt": run.prompt, "bound": True}
    started = {**RunStarted(provider=run.provider).to_json(), "bound": True}
    events = [run_event(run, "run.queued", queued, author=actor.author), run_event(run, "run.started", started)]
    append(conn, head, events)
    return Bound(run=run, callback_key=_key(run, secret))


def rotate_callback_key(conn: Conn, actor: Actor, run_id: UUID, *, secret: bytes, overlap_seconds: float) -> Bound:
    """Make a new key for a bound run. The previous key stays valid for the overlap. Raises Conflict, NotFound."""
    hold_session(conn, run_for(conn, actor, run_id).session_id)
    run = run_for(conn, actor, run_id)
    if not run.bound:
        raise Conflict("Only a bound run has a key to rotate.", code="not_bound")
    rotated = fetch_one(
        conn, "rotate_callback_key", RunRow, run_id=run_id, key_id=key_id(secret), overlap_seconds=overlap_seconds
    )
    if rotated is None:
        raise Conflict("The run has ended.", code="run_finished")
    return Bound(run=rotated, callback_key=_key(rotated, secret))


def _run_exists() -> Conflict:
    return Conflict("There is a run with this id already.", code="run_exists")


def _session(conn: Conn, actor: Actor, bind: Bind) -> SessionRow:
    if bind.session_id is not None:
        return session_for(conn, actor, bind.session_id)
    app = app_named(conn, "default")
    return create_session(conn, actor, app, title=bind.title or title_of(bind.prompt))


def _key(run: RunRow, secret: bytes) -> str:
    return callback_key(secret, run_id=run.id, attempt=run.attempt, generation=run.key_generation)
