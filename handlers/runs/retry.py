"""Repeat a run: a new run with the old prompt, in the same session."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from handlers.access.permissions import Actor
from handlers.runs.read import run_for
from handlers.runs.start import Start, StartedRun, start_run
from handlers.runs.stop import StopPolicy
from handlers.workspaces.uploads import attachments_of
from schema.errors import Conflict
from schema.human_policy import HumanPolicy, read_policy
from schema.options import RunOptions, without_those_of_apps
from schema.rows import RunRow
from schema.shares import NO_RUN_SHARES, RunShares
from schema.sql import Conn, execute


def retry_run(
    conn: Conn,
    actor: Actor,
    run_id: UUID,
    *,
    options: RunOptions,
    traceparent: str,
    stop_policy: StopPolicy,
    human_policy: HumanPolicy,
    shares: RunShares = NO_RUN_SHARES,
) -> StartedRun:
    """Start a run with the prompt of one that has ended, linked to it. Options that are given overrule the old ones.

    Raises NotFound, Conflict `not_ended` and `bound_run`, and whatever start_run raises.
    """
    old = run_for(conn, actor, run_id)
    if not old.is_final:
        raise Conflict("The run has not ended: stop it first, or wait.", code="not_ended")
    if old.bound:
        raise Conflict("An external executor drove the run: start it there again.", code="bound_run")
    started = start_run(
        conn,
        actor,
        _again(conn, old, options, traceparent),
        stop_policy=stop_policy,
        human_policy=human_policy,
        shares=shares,
    )
    execute(conn, "mark_retry", run_id=started.run.id, retry_of=old.id)
    return replace(started, run=run_for(conn, actor, started.run.id))


def _again(conn: Conn, old: RunRow, options: RunOptions, traceparent: str) -> Start:
    changed = options.model_dump(by_alias=True, exclude_unset=True)
    return Start(
        prompt=old.prompt,
        provider=old.provider,
        session_id=old.session_id,
        options=RunOptions.model_validate({**without_those_of_apps(old.options), **changed}),
        max_attempts=old.max_attempts,
        timeout_seconds=old.timeout_seconds,
        human_loop=read_policy(old.human_loop),
        attachments=[upload.path for upload in attachments_of(conn, old.id)],
        traceparent=traceparent,
    )
