"""What happens when nobody answers an agent: per deployment, per app, per run; the nearest one that says so counts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError

from schema.errors import Invalid
from schema.wire import Json, Request

OnExpiry = Literal["wait", "deny", "park", "escalate"]


class HumanPolicy(Request):
    """`expiry_seconds` after a request was asked, `on_expiry` happens: `wait` for ever, `deny` it in nobody's name,
    `park` the run (the question stays open, the worker may go), or `escalate` to `escalate_to` (`user:<id>` or
    `role:<name>`) and after `escalation_seconds` more do `then`."""

    on_expiry: OnExpiry | None = None
    expiry_seconds: float | None = Field(default=None, gt=0, le=31_536_000)
    escalate_to: str | None = Field(
        default=None, pattern=r"^(user:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|role:(admin|operator|member))$"
    )
    escalation_seconds: float | None = Field(default=None, gt=0, le=31_536_000)
    then: Literal["wait", "deny", "park"] | None = None

    @property
    def parks(self) -> bool:
        """Whether it may end in parking."""
        return self.on_expiry == "park" or (self.on_expiry == "escalate" and self.then == "park")


def read_policy(given: Json) -> HumanPolicy:
    """Raises Invalid with what is wrong first."""
    try:
        return HumanPolicy.model_validate(given)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
    raise Invalid(f"{'.'.join(map(str, fault['loc'])) or 'humanLoop'}: {fault['msg']}", code="bad_human_loop")


def nearest(*policies: HumanPolicy) -> HumanPolicy:
    """What holds, the nearest policy first. Raises Invalid when it escalates and nobody says to whom."""
    said: Json = {}
    for policy in reversed(policies):
        said |= policy.to_json()
    found = HumanPolicy.model_validate(said)
    if found.on_expiry == "escalate" and found.escalate_to is None:
        raise Invalid("To escalate needs escalateTo: user:<id> or role:<name>.", code="escalate_to_missing")
    return found
