"""Define what happens when a request stays unanswered: per deployment, app and run. The nearest setting wins."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError

from schema.errors import Invalid
from schema.wire import Json, Request

OnExpiry = Literal["wait", "deny", "park", "escalate"]


class HumanPolicy(Request):
    """Do `on_expiry` when a request stays unanswered for `expiry_seconds`.

    `wait` keeps waiting. `deny` denies it in no person's name. `park` parks the run: the request stays open, and the
    worker may stop. `escalate` lets `escalate_to` (`user:<id>` or `role:<name>`) answer, and after `escalation_seconds`
    more does `then`.
    """

    on_expiry: OnExpiry | None = None
    expiry_seconds: float | None = Field(default=None, gt=0, le=31_536_000)
    escalate_to: str | None = Field(
        default=None, pattern=r"^(user:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|role:(admin|operator|member))$"
    )
    escalation_seconds: float | None = Field(default=None, gt=0, le=31_536_000)
    then: Literal["wait", "deny", "park"] | None = None

    @property
    def parks(self) -> bool:
        """Whether the policy can end in parking."""
        return self.on_expiry == "park" or (self.on_expiry == "escalate" and self.then == "park")


def read_policy(policy: Json) -> HumanPolicy:
    """Parse a policy. Raises Invalid with its first fault."""
    try:
        return HumanPolicy.model_validate(policy)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
    raise Invalid(f"{'.'.join(map(str, fault['loc'])) or 'humanLoop'}: {fault['msg']}", code="bad_human_loop")


def nearest(*policies: HumanPolicy) -> HumanPolicy:
    """Combine the policies, the nearest first. Raises Invalid when it escalates to no one."""
    combined: Json = {}
    for policy in reversed(policies):
        combined |= policy.to_json()
    result = HumanPolicy.model_validate(combined)
    if result.on_expiry == "escalate" and result.escalate_to is None:
        raise Invalid("Escalation needs escalateTo: user:<id> or role:<name>.", code="escalate_to_missing")
    return result
