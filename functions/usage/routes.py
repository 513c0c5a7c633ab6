"""Usage: what runs spent, by day, session, app, user, provider or model."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from functions.http.auth import actor, permission
from functions.http.schemas import Moment, answer
from functions.runtime.process import api_process
from handlers.usage.sums import UsageSum, usage_sums
from schema.wire import Request, Text, Wire

usage = APIBlueprint("usage", __name__, tag="Usage")


class UsageQuery(Request):
    """The sums to return, over settled runs from `from` up to `to`. `userId` is for operators, as members get their
    own."""

    group_by: Literal["day", "session", "app", "user", "provider", "model"] = "day"
    from_: Annotated[Moment | None, Field(alias="from")] = None
    to: Moment | None = None
    user_id: UUID | None = None
    cursor: Text | None = Field(default=None, max_length=200)
    limit: int = Field(default=100, ge=1, le=500)


class UsageCostAnswer(Wire):
    """`source` is `reported` by the agent, or `priced` by Runyard's table of prices."""

    currency: str
    amount: float
    source: str


class UsageAnswer(Wire):
    """One group. A number that no run reported is left out; `withoutCost` counts runs whose cost is unavailable."""

    key: str
    title: str
    runs: int
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_read_tokens: int | None = None
    cached_write_tokens: int | None = None
    cost: list[UsageCostAnswer]
    without_cost: int


class UsagesAnswer(Wire):
    items: list[UsageAnswer]
    next_cursor: str | None = None


@usage.get("/api/usage")
@permission("runs:read")
@usage.input(UsageQuery, location="query")
@usage.output(UsagesAnswer)
def get_usage(query_data: UsageQuery) -> Response:
    """Sum tokens and cost

    In the order of keys; days are in UTC.
    """
    since: datetime | None = query_data.from_
    with api_process().transaction() as conn:
        sums = usage_sums(
            conn,
            actor(),
            query_data.group_by,
            since=since,
            until=query_data.to,
            user_id=query_data.user_id,
            after_key=query_data.cursor,
            limit=query_data.limit,
        )
    cursor = sums[-1].key if len(sums) == query_data.limit else None
    return answer(UsagesAnswer(items=[_usage_answer(group) for group in sums], next_cursor=cursor))


def _usage_answer(group: UsageSum) -> UsageAnswer:
    return UsageAnswer(
        key=group.key,
        title=group.title,
        runs=group.runs,
        input_tokens=group.input_tokens,
        output_tokens=group.output_tokens,
        cached_read_tokens=group.cached_read_tokens,
        cached_write_tokens=group.cached_write_tokens,
        cost=[
            UsageCostAnswer(currency=cost["currency"], amount=float(cost["amount"]), source=cost["source"])
            for cost in group.cost or ()
        ],
        without_cost=group.without_cost,
    )
