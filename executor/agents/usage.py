"""Tokens and cost of one turn: the most that was said of each bucket; what nobody said stays unknown, never 0."""

from __future__ import annotations

from executor.agents.provider import PriceTable
from schema.events import Cost, Usage

BUCKETS = (
    "input_tokens",
    "output_tokens",
    "cached_read_tokens",
    "cached_write_tokens",
)


class Meter:
    """Collects what an agent says of its usage. A reported cost is the session's so far, of which
    this turn's is what was added; where the session's cost before is unknown, so is the turn's."""

    def __init__(self, prices: PriceTable | None) -> None:
        self._prices = prices
        self._model: str | None = None
        self._tokens: dict[str, int] = {}
        self._earlier: dict[str, int] = {}
        self._context: tuple[int, int] | None = None
        self._reported: float | None = None
        self._currency = "USD"
        self._before: float | None = 0.0

    def take_tokens(self, **buckets: int | None) -> None:
        """Counts of the prompt that is being answered. They can be partial or repeated: of each bucket the largest
        one holds."""
        for name in BUCKETS:
            count = buckets.get(name)
            if count is not None and count >= 0:
                self._tokens[name] = max(count, self._tokens.get(name, 0))

    def end_prompt(self) -> None:
        """What was counted for this prompt is added to the turn's; the next prompt of the turn counts anew."""
        for name, count in self._tokens.items():
            self._earlier[name] = self._earlier.get(name, 0) + count
        self._tokens = {}

    def _sums(self) -> dict[str, int]:
        names = self._tokens.keys() | self._earlier.keys()
        return {name: self._tokens.get(name, 0) + self._earlier.get(name, 0) for name in names}

    def take_context(self, *, used: int, size: int) -> None:
        self._context = (used, size)

    def take_cost(self, amount: float, currency: str) -> None:
        """A session's cost so far, in `currency`."""
        self._reported = max(amount, self._reported or 0.0)
        self._currency = currency

    def begin_turn(self, model: str | None, *, before: float | None) -> None:
        """`before` is the session's cost when this turn began; None when it is not known. What was reported until now
        is of earlier turns too."""
        self._model = model
        self._before = before if self._reported is None else self._reported
        self._reported = None

    @property
    def session_cost(self) -> float | None:
        """The session's cost so far; None when nothing was reported in this turn."""
        return self._reported

    def read(self) -> Usage:
        """What is known now; no cost while it is unknown, for it may still be told."""
        used, size = self._context or (None, None)
        return Usage(**self._sums(), context_used=used, context_size=size, cost=self._cost())

    def final(self) -> Usage:
        """The same at the end of the turn: an unknown cost is `unavailable` now."""
        usage = self.read()
        return usage if usage.cost else usage.model_copy(update={"cost": Cost(source="unavailable")})

    def _cost(self) -> Cost | None:
        if self._reported is None:
            return priced(self._sums(), self._prices, self._model)
        if self._before is None:
            return None
        began_anew = self._reported < self._before
        amount = self._reported if began_anew else self._reported - self._before
        return Cost(amount=round(amount, 8), currency=self._currency, source="reported")


def priced(tokens: dict[str, int], prices: PriceTable | None, model: str | None) -> Cost | None:
    """The cost by the table; None when the model, a bucket that was used, or the counts themselves have no entry."""
    price = prices.models.get(model or "") if prices else None
    if prices is None or price is None or not {"input_tokens", "output_tokens"} <= tokens.keys():
        return None
    rates = {
        "input_tokens": price.input,
        "output_tokens": price.output,
        "cached_read_tokens": price.cached_read,
        "cached_write_tokens": price.cached_write,
    }
    total = 0.0
    for name, count in tokens.items():
        rate = rates[name]
        if rate is None and count:
            return None
        total += count * (rate or 0.0)
    return Cost(
        amount=round(total / 1_000_000, 8), currency=prices.currency, source="priced", price_version=prices.version
    )
