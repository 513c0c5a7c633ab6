"""Absent is not 0, the largest count holds, and an unknown cost stays unknown."""

from __future__ import annotations

from pathlib import Path

from executor.agents.costs import COSTS_FILE, cost_before, keep_cost
from executor.agents.provider import Price, PriceTable
from executor.agents.turn import Turn
from executor.agents.usage import UsageMeter, priced
from tests.start_runs import start_run

PRICES = PriceTable(
    version="7",
    currency="EUR",
    models={"m": Price(input=2.0, output=10.0, cached_read=0.5), "n": Price(input=1, output=1)},
)


def test_nothing_said_is_nothing_known() -> None:
    assert UsageMeter(None).final().to_json() == {"cost": {"source": "unavailable"}}


def test_zero_is_kept_apart_from_absent() -> None:
    meter = UsageMeter(None)
    meter.take_tokens(input_tokens=0, output_tokens=None)

    assert meter.read().to_json() == {"inputTokens": 0}


def test_of_repeated_counts_the_largest_holds() -> None:
    meter = UsageMeter(None)
    meter.take_tokens(input_tokens=10, output_tokens=5)
    meter.take_tokens(input_tokens=7, output_tokens=9)

    assert (meter.read().input_tokens, meter.read().output_tokens) == (10, 9)


def test_prompts_of_one_turn_add_up() -> None:
    meter = UsageMeter(None)
    meter.take_tokens(input_tokens=10)
    meter.end_prompt()
    meter.take_tokens(input_tokens=4)

    assert meter.read().input_tokens == 14


def test_the_cost_of_earlier_turns_is_not_this_turns() -> None:
    meter = UsageMeter(None)
    meter.take_cost(1.5, "USD")
    meter.begin_turn("m", before=None)
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


def test_an_unknown_model_has_an_unknown_cost() -> None:
    tokens = {"input_tokens": 1, "output_tokens": 1}

    assert priced(tokens, PRICES, "other") is None
    assert priced(tokens, PRICES, None) is None
    assert priced({"input_tokens": 1}, PRICES, "m") is None


def test_a_reported_cost_wins_over_the_table() -> None:
    meter = UsageMeter(PRICES)
    meter.begin_turn("m", before=0.0)
    meter.take_tokens(input_tokens=100, output_tokens=100)
    meter.take_cost(0.01, "USD")

    cost = meter.final().cost
    assert cost
    assert (cost.amount, cost.source) == (0.01, "reported")


def test_only_what_was_added_to_the_sessions_cost_counts() -> None:
    meter = UsageMeter(None)
    meter.begin_turn("m", before=1.5)
    meter.take_cost(1.75, "USD")

    assert meter.final().to_json()["cost"]["amount"] == 0.25
    assert meter.session_cost == 1.75


def test_a_counter_that_began_anew_is_the_turns_own() -> None:
    meter = UsageMeter(None)
    meter.begin_turn("m", before=1.5)
    meter.take_cost(0.25, "USD")

    assert meter.final().to_json()["cost"]["amount"] == 0.25


def test_without_the_cost_before_the_turns_is_unknown() -> None:
    meter = UsageMeter(None)
    meter.begin_turn("m", before=None)
    meter.take_cost(1.75, "USD")

    assert meter.final().to_json()["cost"] == {"source": "unavailable"}


def test_costs_of_conversations_are_kept_apart(tmp_path: Path) -> None:
    turn = turn_in(tmp_path)
    keep_cost(turn, "one", 1.0)
    keep_cost(turn, "two", 2.0)
    keep_cost(turn, "one", 3.0)

    assert [cost_before(turn, name) for name in ("one", "two", "three")] == [3.0, 2.0, None]


def test_a_torn_file_is_an_unknown_cost(tmp_path: Path) -> None:
    (tmp_path / COSTS_FILE).write_text('{"one": ')

    assert cost_before(turn_in(tmp_path), "one") is None


def turn_in(home: Path) -> Turn:
    return Turn(
        run=start_run(),
        workspace=home,
        home=home,
    )
