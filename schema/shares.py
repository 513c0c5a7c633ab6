"""Define each user's shares: how much of the server one user may hold at once, or use within a time.

Answers name a share in the header fields `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings

from schema.errors import RunyardError

HELD_RETRY_SECONDS = 2.0
"""A pause before the next try of a call that waits until the user holds less."""
MINUTE, DAY = 60, 86_400
Amount = Annotated[int, Field(ge=0, le=1_000_000_000)]


@dataclass(frozen=True, kw_only=True)
class Share:
    """At most `most` (0: no limit) of the named thing for one user: at once, or within the seconds of the window.

    `what` names it in sentences, in the plural.
    """

    name: str
    what: str
    most: int
    window_seconds: int | None = None

    @property
    def sentence(self) -> str:
        within = {None: " at once", MINUTE: " a minute", DAY: " a day"}[self.window_seconds]
        return f"A user has at most {self.most:,} {self.what}{within}."


class ShareUsedUp(RunyardError):
    """You have used up your share. Try again later."""

    code = "share_used_up"

    def __init__(self, share: Share, *, retry_seconds: float = HELD_RETRY_SECONDS) -> None:
        self.used_up = share
        self.retry_seconds = max(1, math.ceil(retry_seconds))
        super().__init__(f"{share.sentence} Try again in {self.retry_seconds} s.", share=share.name, limit=share.most)

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the header fields of the answer."""
        name, window = self.used_up.name, self.used_up.window_seconds
        within = f";w={window}" if window else ';qu="concurrent-requests"'
        return {
            "Retry-After": str(self.retry_seconds),
            "RateLimit-Policy": f'"{name}";q={self.used_up.most}{within}',
            "RateLimit": f'"{name}";r=0;t={self.retry_seconds}',
        }


@dataclass(frozen=True, kw_only=True)
class RunShares:
    """A user's share of runs, counted in PostgreSQL for all API processes. 0 is no limit."""

    queued_runs: Share
    prompts: Share
    idempotency_keys: Share


def run_shares(*, queued_runs: int = 0, prompts: int = 0, idempotency_keys: int = 0) -> RunShares:
    """Return these shares; without numbers nobody is limited."""
    return RunShares(
        queued_runs=Share(name="queued-runs", what="queued runs", most=queued_runs),
        prompts=Share(name="prompts", what="prompts", most=prompts, window_seconds=MINUTE),
        idempotency_keys=Share(
            name="idempotency-keys", what="idempotency keys", most=idempotency_keys, window_seconds=DAY
        ),
    )


NO_RUN_SHARES = run_shares()


class ShareSettings(BaseSettings):
    """One user's shares. The first three count in each API process, the others in PostgreSQL."""

    api_sockets_per_user: Amount = Field(
        default=1000, description="Open at most N WebSockets of one user per API process. 0 disables it."
    )
    api_streams_per_user: Amount = Field(
        default=0,
        description="Open at most N SSE streams, waits and downloads of one user per API process. 0 disables it.",
        json_schema_extra={"default": "half of `API_STREAMS_MAX`, at least 8; 0 with `RUNYARD_AUTH=local`"},
    )
    api_requests_per_user: Amount = Field(
        default=0,
        description="Answer at most N requests of one user at the same time per API process. 0 disables it.",
        json_schema_extra={"default": "half of `API_THREADS`, at least 8; 0 with `RUNYARD_AUTH=local`"},
    )
    queued_runs_per_user: Amount = Field(
        default=1000, description="Keep at most N runs of one user in queues. 0 disables it."
    )
    prompts_per_minute: Amount = Field(
        default=600, description="Start at most N runs of one user within a minute. 0 disables it."
    )
    idempotency_keys_per_day: Amount = Field(
        default=100_000, description="Remember at most N idempotency keys of one user from a day. 0 disables it."
    )

    @property
    def socket_share(self) -> Share:
        return Share(name="sockets", what="WebSockets", most=self.api_sockets_per_user)

    @property
    def stream_share(self) -> Share:
        return Share(name="streams", what="streams, waits and downloads", most=self.api_streams_per_user)

    @property
    def request_share(self) -> Share:
        return Share(name="requests", what="requests", most=self.api_requests_per_user)

    @property
    def run_shares(self) -> RunShares:
        return run_shares(
            queued_runs=self.queued_runs_per_user,
            prompts=self.prompts_per_minute,
            idempotency_keys=self.idempotency_keys_per_day,
        )
