"""Refuse runs beyond a user's shares, which PostgreSQL counts for all API processes.

Nothing is locked for it: starts that come at the same moment may pass a share by their number.
"""

from __future__ import annotations

from dataclasses import dataclass

from handlers.access.permissions import Actor
from schema.shares import RunShares, Share, ShareUsedUp
from schema.sql import Conn, fetch_the

QUEUE_RETRY_SECONDS = 10.0


@dataclass(frozen=True)
class _Used:
    """The present usage. The seconds are those until the oldest of a full share no longer counts, None below it."""

    queued_runs: int
    prompt_seconds: float | None
    key_seconds: float | None


def refuse_beyond_shares(
    conn: Conn, actor: Actor, shares: RunShares, *, is_queued: bool = True, has_key: bool = False
) -> None:
    """Raise ShareUsedUp when the user may not start one more run. `has_key`: with an idempotency key of its own."""
    queued, prompts, keys = shares.queued_runs, shares.prompts, shares.idempotency_keys
    if not any((queued.most, prompts.most, keys.most)):
        return
    used = fetch_the(
        conn,
        "used_shares",
        _Used,
        user_id=actor.user_id,
        queued_runs=queued.most if is_queued else 0,
        prompts=prompts.most,
        prompt_seconds=prompts.window_seconds,
        keys=keys.most if has_key else 0,
        key_seconds=keys.window_seconds,
    )
    if is_queued and queued.most and used.queued_runs >= queued.most:
        raise ShareUsedUp(queued, retry_seconds=QUEUE_RETRY_SECONDS)
    _refuse(prompts, used.prompt_seconds)
    _refuse(keys, used.key_seconds)


def _refuse(share: Share, seconds: float | None) -> None:
    if share.most and seconds is not None:
        raise ShareUsedUp(share, retry_seconds=seconds)
