"""Count tokens and cost of one turn. Of each bucket the largest report counts; an unreported bucket is unknown, never
0."""

from __future__ import annotations

from dataclasses import replace

from acp.schema import Usage as ReportedUsage

from executor.agents.opencode_tokens import tokens_since
from executor.agents.provider import UNKNOWN_COUNTS, Counts, Dialect, PriceTable
from executor.agents.totals import NOTHING, Totals
from executor.agents.turn import Turn
from schema.events import Cost, Usage

BUCKETS = (
    "input_tokens",
    "output_tokens",
    "cached_read_tokens",
    "cached_write_tokens",
)


class UsageMeter:
    """Collect the usage that an agent reports.

    `counts` says over which span the agent counts. What another turn spent is taken off, and where that is unknown the
    turn's use is unknown too.
    """

    def __init__(self, prices: PriceTable | None, counts: Counts = UNKNOWN_COUNTS) -> None:
        self._prices = prices
        self._counts = counts
        self._model: str | None = None
        self._tokens: dict[str, int] = {}
        self._earlier: dict[str, int] = {}
        self._prompts = 0
        self._lacks_tokens = False
        self._context: tuple[int, int] | None = None
        self._reported: float | None = None
        self._currency = "USD"
        self._before = NOTHING

    def take_tokens(self, **buckets: int | None) -> None:
        """Record token counts of the current prompt. Reports may be partial or repeated: the largest of each bucket
        counts."""
        for name in BUCKETS:
            count = buckets.get(name)
            if count is not None and count >= 0:
                self._tokens[name] = max(count, self._tokens.get(name, 0))

    def end_prompt(self) -> None:
        """End the current prompt. An agent that counts by turn starts from zero at the next one."""
        self._prompts += 1
        self._lacks_tokens = self._lacks_tokens or not self._tokens
        if self._counts.tokens == "turn":
            for name, count in self._tokens.items():
                self._earlier[name] = self._earlier.get(name, 0) + count
            self._tokens = {}

    def take_context(self, *, used: int, size: int) -> None:
        self._context = (used, size)

    def take_cost(self, amount: float, currency: str) -> None:
        """Record a reported cost in `currency`."""
        self._reported = max(amount, self._reported or 0.0)
        self._currency = currency

    def begin_turn(self, model: str | None, *, before: Totals) -> None:
        """Begin the turn. `before` is what the session had used. A cost reported until now is earlier too."""
        self._model = model
        self._before = before if self._reported is None else replace(before, cost=self._reported)
        self._reported = None

    @property
    def has_tokens(self) -> bool:
        """Tell whether the model was used in this turn, as far as the agent says so."""
        return any([*self._tokens.values(), *self._earlier.values()])

    def totals(self) -> Totals | None:
        """Return what the conversation has used so far, or None when this turn told nothing of it."""
        if self._reported is None and not self._tokens:
            return None
        tokens = (self._tokens or self._before.tokens) if self._counts.tokens == "session" else None
        return Totals(cost=self._reported, tokens=tokens)

    def read(self) -> Usage:
        """Return the current usage, without a cost while it is unknown, because it may still be reported."""
        used, size = self._context or (None, None)
        return Usage(**self._sums(), context_used=used, context_size=size, cost=self._cost())

    def final(self) -> Usage:
        """Return the usage at the turn's end: an unknown cost becomes `unavailable`."""
        usage = self.read()
        return usage if usage.cost else usage.model_copy(update={"cost": Cost(source="unavailable")})

    def _sums(self) -> dict[str, int]:
        """Return the turn's own counts. Zeros alone are no count: agents report them for a stopped model.

        Where a prompt of several told none, the sum is unknown.
        """
        if self._lacks_tokens:
            return {}
        counts = {name: self._own_count(name) for name in {**self._earlier, **self._tokens}}
        known = {name: count for name, count in counts.items() if count is not None}
        return known if any(known.values()) else {}

    def _own_count(self, name: str) -> int | None:
        """Return this turn's count of one bucket, or None when it cannot be told from other turns'."""
        count, span = self._tokens.get(name, 0), self._counts.tokens
        if span == "turn":
            return count + self._earlier.get(name, 0)
        if span == "process" or self._before == NOTHING:
            return count if span or self._prompts <= 1 else None
        if span is None or self._before.tokens is None:
            return None
        before = self._before.tokens.get(name, 0)
        return count if count < before else count - before

    def _cost(self) -> Cost | None:
        amount = None if self._reported is None else self._own_cost(self._reported)
        if not amount:
            return priced(self._sums(), self._prices, self._model)
        return Cost(amount=round(amount, 8), currency=self._currency, source="reported")

    def _own_cost(self, reported: float) -> float | None:
        """Return this turn's cost, or None when it cannot be told from other turns'."""
        span = self._counts.cost
        if span in ("turn", "process") or self._before == NOTHING:
            return reported
        if span is None or self._before.cost is None:
            return None
        return reported if reported < self._before.cost else reported - self._before.cost


async def reported_tokens(
    turn: Turn, dialect: Dialect, session_id: str, usage: ReportedUsage | None, *, since: float
) -> dict[str, int]:
    """Return the tokens that a prompt used, by bucket, without unknown ones. It began at `since`, seconds since 1970.

    OpenCode answers with those of its last model request. Where its database does not tell all, they are unknown.
    """
    if dialect == "opencode":
        return await tokens_since(turn, session_id, int(since * 1000)) or {}
    if usage is None:
        return {}
    counts = {name: getattr(usage, name) for name in BUCKETS}
    return {name: count for name, count in counts.items() if count is not None}


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
