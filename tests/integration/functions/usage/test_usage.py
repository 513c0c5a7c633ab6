"""Usage sums what runs spent; what is unknown is left out, and members see their own."""

from __future__ import annotations

import pytest

from schema.wire import Json
from tests.integration.functions.conftest import Api, answer_json


def spend(api: Api, provider: str, **usage: object) -> None:
    driver = api.bind(provider=provider)
    status, _ = driver.report(driver.event("run.finished", status="succeeded", stopReason="end_turn", usage=usage))
    assert status == 200


def sums(api: Api, query: str) -> list[Json]:
    items: list[Json] = answer_json(api.get(f"/api/usage?{query}"))["items"]
    return items


@pytest.fixture
def spent(api: Api) -> Api:
    spend(api, "one", inputTokens=10, cost={"amount": 0.5, "currency": "USD", "source": "reported"})
    spend(api, "one", inputTokens=5, outputTokens=1)
    spend(api, "two")
    return api


def test_by_provider_with_known_and_unknown_costs_apart(spent: Api) -> None:
    one, two = sums(spent, "groupBy=provider")
    assert (one["key"], one["runs"], one["inputTokens"], one["outputTokens"]) == ("one", 2, 15, 1)
    assert one["cost"] == [{"currency": "USD", "amount": 0.5, "source": "reported"}]
    assert (one["withoutCost"], two["withoutCost"], two["cost"], "inputTokens" in two) == (1, 1, [], False)


def test_an_amount_without_a_currency_is_an_unknown_cost_and_breaks_no_list(api: Api) -> None:
    spend(api, "one", cost={"amount": 1.5, "source": "reported"})
    [one] = sums(api, "groupBy=provider")
    assert (one["cost"], one["withoutCost"]) == ([], 1)
    [session] = answer_json(api.get("/api/sessions"))["items"]
    assert (session["usage"]["cost"], session["usage"]["withoutCost"]) == ([], 1)


@pytest.mark.parametrize("group_by", ["day", "session", "app", "user", "model"])
def test_every_group_adds_up(spent: Api, group_by: str) -> None:
    assert sum(group["runs"] for group in sums(spent, f"groupBy={group_by}")) == 3


def test_pages_show_each_group_once(spent: Api) -> None:
    page = answer_json(spent.get("/api/usage?groupBy=provider&limit=1"))
    rest = sums(spent, f"groupBy=provider&limit=1&cursor={page['nextCursor']}")
    assert [group["key"] for group in [*page["items"], *rest]] == ["one", "two"]


def test_a_time_before_all_runs_has_none(spent: Api) -> None:
    assert sums(spent, "to=2020-01-01T00:00:00Z") == []


def test_a_member_sees_only_what_they_spent(spent: Api, member: str) -> None:
    assert sums(Api(spent.client, member), "groupBy=user") == []
