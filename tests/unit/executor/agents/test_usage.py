"""Absent is not 0, the largest count holds, and an unknown cost stays unknown."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from executor.agents.provider import Counts, Price, PriceTable, Span
from executor.agents.totals import NOTHING, TOTALS_FILE, Totals, claude_total, keep_totals, totals_before
from executor.agents.turn import Turn
from executor.agents.usage import UsageMeter, priced
from schema.events import Cost
from tests.start_runs import start_run

SHIPPED = Counts(tokens="turn", cost="session")
PRICES = PriceTable(
    version="7",
    currency="EUR",
    models={"m": Price(input=2.0, output=10.0, cached_read=0.5), "n": Price(input=1, output=1)},
)


def test_nothing_said_is_nothing_known() -> None:
    assert UsageMeter(None, SHIPPED).final().to_json() == {"cost": {"source": "unavailable"}}


def test_zero_is_kept_apart_from_absent() -> None:
    meter = UsageMeter(None, SHIPPED)
    meter.take_tokens(input_tokens=7, output_tokens=0, cached_read_tokens=None)

    assert meter.read().to_json() == {"inputTokens": 7, "outputTokens": 0}


def test_zeros_alone_are_no_usage() -> None:
    meter = UsageMeter(None, SHIPPED)
    meter.begin_turn("m", before=NOTHING)
    meter.take_tokens(input_tokens=0, output_tokens=0)
    meter.take_cost(0.0, "USD")

    assert meter.final().to_json() == {"cost": {"source": "unavailable"}}


@pytest.mark.parametrize(
    "span, before, own",
    [
        ("turn", Totals(tokens={"input_tokens": 1000}), 3000),
        ("process", Totals(tokens={"input_tokens": 1000}), 3000),
        ("session", Totals(tokens={"input_tokens": 1000}), 2000),
        ("session", Totals(), None),
        (None, Totals(tokens={"input_tokens": 1000}), None),
        (None, NOTHING, 3000),
    ],
)
def test_tokens_of_other_turns_are_taken_off(span: Span | None, before: Totals, own: int | None) -> None:
    meter = UsageMeter(None, Counts(tokens=span))
    meter.begin_turn("m", before=before)
    meter.take_tokens(input_tokens=3000)
    meter.end_prompt()

    assert meter.read().input_tokens == own


@pytest.mark.parametrize("span, own", [("turn", 6000), ("process", 3000), ("session", 3000), (None, None)])
def test_two_prompts_of_a_turn_are_counted_as_the_agent_counts(span: Span | None, own: int | None) -> None:
    meter = UsageMeter(None, Counts(tokens=span))
    meter.begin_turn("m", before=NOTHING)
    for _ in range(2):
        meter.take_tokens(input_tokens=3000)
        meter.end_prompt()

    assert meter.read().input_tokens == own


@pytest.mark.parametrize("span, own", [("turn", 0.5), ("process", 0.5), ("session", 0.25), (None, None)])
def test_a_cost_is_read_as_the_agent_counts(span: Span | None, own: float | None) -> None:
    meter = UsageMeter(None, Counts(cost=span))
    meter.begin_turn("m", before=Totals(cost=0.25))
    meter.take_cost(0.5, "USD")

    assert (meter.final().cost or Cost(source="unavailable")).amount == own


def test_of_repeated_counts_the_largest_holds() -> None:
    meter = UsageMeter(None, SHIPPED)
    meter.take_tokens(input_tokens=10, output_tokens=5)
    meter.take_tokens(input_tokens=7, output_tokens=9)

    assert (meter.read().input_tokens, meter.read().output_tokens) == (10, 9)


def test_prompts_of_one_turn_add_up() -> None:
    meter = UsageMeter(None, SHIPPED)
    meter.take_tokens(input_tokens=10)
    meter.end_prompt()
    meter.take_tokens(input_tokens=4)

    assert meter.read().input_tokens == 14


def test_a_prompt_without_counts_makes_the_sum_unknown() -> None:
    meter = UsageMeter(None, SHIPPED)
    meter.take_tokens(input_tokens=10)
    meter.end_prompt()
    meter.end_prompt()

    assert meter.read().input_tokens is None


def test_a_turn_that_told_only_its_cost_keeps_the_sessions_tokens() -> None:
    meter = UsageMeter(None, Counts(tokens="session", cost="session"))
    meter.begin_turn(None, before=Totals(cost=1.0, tokens={"input_tokens": 1000}))
    meter.take_cost(2.0, "USD")

    assert meter.totals() == Totals(cost=2.0, tokens={"input_tokens": 1000})


def test_the_cost_of_earlier_turns_is_not_this_turns() -> None:
    meter = UsageMeter(None, SHIPPED)
    meter.take_cost(1.5, "USD")
    meter.begin_turn("m", before=Totals())
    assert meter.read().cost is None
    meter.take_cost(1.75, "USD")

    assert meter.final().to_json()["cost"] == {"amount": 0.25, "currency": "USD", "source": "reported"}


def test_a_table_prices_each_bucket() -> None:
    tokens = {"input_tokens": 1_000_000, "output_tokens": 100_000, "cached_read_tokens": 2_000_000}

    cost = priced(tokens, PRICES, "m")

    assert cost
    assert (cost.amount, cost.currency, cost.price_version) == (4.0, "EUR", "7")


def test_a_bucket_without_a_price_makes_the_cost_unknown() -> None:
    tokens = {"input_tokens": 1, "output_tokens": 1, "cached_read_tokens": 1}

    assert priced(tokens, PRICES, "n") is None
    assert priced({**tokens, "cached_read_tokens": 0}, PRICES, "n")


def test_a_free_model_costs_nothing_and_says_so() -> None:
    free = PriceTable(version="7", currency="EUR", models={"free": Price(input=0, output=0)})
    meter = UsageMeter(free, SHIPPED)
    meter.begin_turn("free", before=NOTHING)
    meter.take_tokens(input_tokens=10, output_tokens=5)
    meter.take_cost(0.0, "USD")

    cost = {"amount": 0.0, "currency": "EUR", "source": "priced", "priceVersion": "7"}
    assert meter.final().to_json()["cost"] == cost


def test_an_unknown_model_has_an_unknown_cost() -> None:
    tokens = {"input_tokens": 1, "output_tokens": 1}

    assert priced(tokens, PRICES, "other") is None
    assert priced(tokens, PRICES, None) is None
    assert priced({"input_tokens": 1}, PRICES, "m") is None


def test_a_reported_cost_wins_over_the_table() -> None:
    meter = UsageMeter(PRICES, SHIPPED)
    meter.begin_turn("m", before=NOTHING)
    meter.take_tokens(input_tokens=100, output_tokens=100)
    meter.take_cost(0.01, "USD")

    cost = meter.final().cost
    assert cost
    assert (cost.amount, cost.source) == (0.01, "reported")


def test_only_what_was_added_to_the_sessions_cost_counts() -> None:
    meter = UsageMeter(None, SHIPPED)
    meter.begin_turn("m", before=Totals(cost=1.5))
    meter.take_cost(1.75, "USD")

    assert meter.final().to_json()["cost"]["amount"] == 0.25
    totals = meter.totals()
    assert totals
    assert totals.cost == 1.75


def test_a_counter_that_began_anew_is_the_turns_own() -> None:
    meter = UsageMeter(None, SHIPPED)
    meter.begin_turn("m", before=Totals(cost=1.5))
    meter.take_cost(0.25, "USD")

    assert meter.final().to_json()["cost"]["amount"] == 0.25


def test_without_the_cost_before_the_turns_is_unknown() -> None:
    meter = UsageMeter(None, SHIPPED)
    meter.begin_turn("m", before=Totals())
    meter.take_cost(1.75, "USD")

    assert meter.final().to_json()["cost"] == {"source": "unavailable"}


def test_totals_of_conversations_are_kept_apart(tmp_path: Path) -> None:
    turn = turn_in(tmp_path)
    keep_totals(turn, "one", Totals(cost=1.0))
    keep_totals(turn, "two", Totals(cost=2.0, tokens={"input_tokens": 5}))
    keep_totals(turn, "one", Totals(cost=3.0))

    assert [totals_before(turn, name) for name in ("one", "two", "three")] == [
        Totals(cost=3.0),
        Totals(cost=2.0, tokens={"input_tokens": 5}),
        Totals(),
    ]


def test_a_cost_kept_by_an_older_executor_is_read(tmp_path: Path) -> None:
    (tmp_path / TOTALS_FILE).write_text('{"one": 1.5}')

    assert totals_before(turn_in(tmp_path), "one") == Totals(cost=1.5)


def test_a_torn_file_is_an_unknown_cost(tmp_path: Path) -> None:
    (tmp_path / TOTALS_FILE).write_text('{"one": ')

    assert totals_before(turn_in(tmp_path), "one") == Totals()


@pytest.mark.timeout(20)
def test_a_home_full_of_traps_costs_only_the_numbers(tmp_path: Path) -> None:
    turn = turn_in(tmp_path)
    os.mkfifo(tmp_path / TOTALS_FILE)
    assert totals_before(turn, "one") == Totals()
    (tmp_path / TOTALS_FILE).unlink()
    (tmp_path / TOTALS_FILE).symlink_to("/dev/zero")
    assert totals_before(turn, "one") == Totals()
    (tmp_path / f"{TOTALS_FILE}.new").mkdir()
    keep_totals(turn, "one", Totals(cost=1.0))
    assert totals_before(turn, "one") == Totals()


@pytest.mark.parametrize("cost", ["NaN", "Infinity", "9" * 400, '"1"', "true"])
def test_a_cost_that_is_no_number_is_unknown(tmp_path: Path, cost: str) -> None:
    (tmp_path / TOTALS_FILE).write_text(f'{{"one": {{"cost": {cost}}}}}')

    assert totals_before(turn_in(tmp_path), "one") == Totals()


def test_claude_codes_own_total_is_its_last_one(tmp_path: Path) -> None:
    folder = tmp_path / ".claude/projects/-workspace"
    folder.mkdir(parents=True)
    states = [{"type": "cost-state", "totalCostUSD": amount} for amount in (0.5, 0.75)]
    lines = [json.dumps(state) for state in [states[0], {"type": "user"}, states[1], {"type": "user"}]]
    (folder / "a-1.jsonl").write_text("\n".join(lines))
    (folder / "b-2.jsonl").symlink_to(folder / "a-1.jsonl")

    found = [claude_total(turn_in(tmp_path), name) for name in ("a-1", "b-2", "c-3", "../a-1")]
    assert found == [0.75, None, None, None]


def turn_in(home: Path) -> Turn:
    return Turn(
        run=start_run(),
        workspace=home,
        home=home,
    )
