"""Count tokens and cost of one turn. Of each bucket the largest report counts; an unreported bucket is unknown, never
0."""

from __future__ import annotations

from executor.agents.provider import PriceTable
from schema.events import Cost, Usage

BUCKETS = (
    "input_tokens",
    "output_tokens",
    "cached_read_tokens",
    "cached_write_tokens",
)


class UsageMeter:
    """Collect the usage that an agent reports.

    A reported cost is the session's so far; the turn's cost is the increase. Without the session's earlier cost, the
    turn's cost is unknown.
    """

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
        """Record token counts of the current prompt. Reports may be partial or repeated: the largest of each bucket
        counts."""
        for name in BUCKETS:
            count = buckets.get(name)
            if count is not None and count >= 0:
                self._tokens[name] = max(count, self._tokens.get(name, 0))

    def end_prompt(self) -> None:
        """Add this prompt's counts to the turn's. The next prompt of the turn starts from zero."""
        for name, count in self._tokens.items():
            self._earlier[name] = self._earlier.get(name, 0) + count
        self._tokens = {}

    def _sums(self) -> dict[str, int]:
        names = self._tokens.keys() | self._earlier.keys()
        return {name: self._tokens.get(name, 0) + self._earlier.get(name, 0) for name in names}

    def take_context(self, *, used: int, size: int) -> None:
        self._context = (used, size)

    def take_cost(self, amount: float, currency: str) -> None:
        """Record the session's cost so far, in `currency`."""
        self._reported = max(amount, self._reported or 0.0)
        self._currency = currency

    def begin_turn(self, model: str | None, *, before: float | None) -> None:
        """Begin the turn. `before` is the session's earlier cost, None when unknown. Costs reported until now are
        earlier too."""
        self._model = model
        self._before = before if self._reported is None else self._reported
        self._reported = None

    @property
    def session_cost(self) -> float | None:
        """The session's cost so far, or None when this turn reported none."""
        return self._reported

    def read(self) -> Usage:
        """Return the current usage, without a cost while it is unknown, because it may still be reported."""
        used, size = self._context or (None, None)
        return Usage(**self._sums(), context_used=used, context_size=size, cost=self._cost())

    def final(self) -> Usage:
        """Return the usage at the turn's end: an unknown cost becomes `unavailable`."""
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
    """Return the cost by the table, or None when the model, a used bucket or the token counts are missing."""
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
