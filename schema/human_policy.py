"""What happens when nobody answers an agent: per deployment, per app, per run; the nearest one that says so counts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schema.wire import Request, Text

OnExpiry = Literal["wait", "deny", "park", "escalate"]


class HumanPolicy(Request):
    """`expiry_seconds` after a request was asked, `on_expiry` happens: `wait` for ever, `deny` it in nobody's name,
    `park` the run (the question stays open, the worker may go), or `escalate` to `escalate_to` (`user:<id>` or
    `role:<name>`) and after `escalation_seconds` more do `then`."""

    on_expiry: OnExpiry | None = None
    expiry_seconds: float | None = Field(default=None, gt=0, le=31_536_000)
    escalate_to: Text | None = Field(
        default=None, pattern=r"^(user:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|role:(admin|operator|member))$"
    )
    escalation_seconds: float | None = Field(default=None, gt=0, le=31_536_000)
    then: Literal["wait", "deny", "park"] | None = None
