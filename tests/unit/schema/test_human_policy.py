"""What happens when nobody answers: the nearest policy that says so counts, key by key."""

from __future__ import annotations

import pytest

from schema.errors import Invalid
from schema.human_policy import HumanPolicy, nearest, read_policy

DEPLOYMENT = HumanPolicy(on_expiry="park", expiry_seconds=3600, escalation_seconds=600, then="park")


def test_what_nobody_says_otherwise_is_the_deployments() -> None:
    assert nearest(HumanPolicy(), HumanPolicy(), DEPLOYMENT) == DEPLOYMENT


def test_the_run_counts_before_its_app_and_the_app_before_the_deployment() -> None:
    run, app = HumanPolicy(expiry_seconds=5), HumanPolicy(on_expiry="deny", expiry_seconds=60)
    found = nearest(run, app, DEPLOYMENT)
    assert (found.on_expiry, found.expiry_seconds, found.then) == ("deny", 5, "park")


def test_to_escalate_somebody_has_to_say_to_whom() -> None:
    with pytest.raises(Invalid) as refused:
        nearest(HumanPolicy(on_expiry="escalate"), DEPLOYMENT)
    assert refused.value.problem_code == "escalate_to_missing"
    assert nearest(HumanPolicy(on_expiry="escalate"), HumanPolicy(escalate_to="role:operator")).on_expiry == "escalate"


@pytest.mark.parametrize(
    "given", [{"onExpiry": "shrug"}, {"expirySeconds": 0}, {"escalateTo": "somebody"}, {"unknown": 1}]
)
def test_a_policy_that_means_nothing_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        read_policy(given)
