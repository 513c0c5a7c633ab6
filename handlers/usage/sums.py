"""Sum tokens and cost of settled runs by day, session, app, user, provider or model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from handlers.access.permissions import Actor
from schema.sql import Conn, fetch_all
from schema.wire import Json

GroupBy = Literal["day", "session", "app", "user", "provider", "model"]


@dataclass(frozen=True)
class UsageSum:
    """The runs of one group. A number that no run of it reported is None; `without_cost` runs have no known cost."""

    key: str
    title: str
    runs: int
    input_tokens: int | None
    output_tokens: int | None
    cached_read_tokens: int | None
    cached_write_tokens: int | None
    cost: list[Json] | None
    without_cost: int


def usage_sums(
    conn: Conn,
    actor: Actor,
    group_by: GroupBy,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    user_id: UUID | None = None,
    after_key: str | None = None,
    limit: int = 100,
) -> list[UsageSum]:
    """A page of groups in the order of their keys, after `after_key`. Members get their own runs, others everyone's."""
    return fetch_all(
        conn,
        "usage_sums",
        UsageSum,
        group_by=group_by,
        user_id=actor.user_id if actor.role == "member" else user_id,
        since=since,
        until=until,
        after_key=after_key,
        limit=limit,
    )
