"""Two policies together ask what both ask, tried on 10,000 pairs from a fixed seed."""

import random

import pytest

from gateway.approvals.policies import Policies, Requester
from gateway.approvals.policy import Policy
from gateway.approvals.policy_file import PreviewFacts
from gateway.effects import Credential, Effect
from tests.approvals.test_policy_properties import naive, preview, rule, toml

# They read 20,000 policies, which takes minutes while coverage is measured.
pytestmark = pytest.mark.timeout(900)


def credential(given: PreviewFacts) -> Credential | None:
    if not given.connection:
        return None
    return Credential(
        connection=given.connection,
        provider="google",
        account=given.account,
        subject="4711",
        label=given.label,
    )


@pytest.mark.slow
def test_both_policies_are_met() -> None:
    """As many approvals as the stricter one wants, and what either denies is denied."""
    denied = asking = 0
    for seed in range(10_000):
        dice = random.Random(seed)
        layers = [[rule(dice, f"{of}{n}") for n in range(dice.randint(0, 3))] for of in "ow"]
        floor, text = (toml(rules) for rules in layers)
        policies = Policies(
            Policy(floor), lambda _, decider, **__: decider.role, {"w": text}.__getitem__
        )
        given = preview(dice)
        effect = Effect(
            method=given.method,
            url=given.url,
            headers={},
            body=b"x" * given.body_bytes,
            summary="",
            warnings=(),
            credential=credential(given),
        )
        by = Requester(
            subject=given.requester, role=given.role, kind=given.kind, warned=given.warned
        )
        found = policies.verdict("w", given.action, effect, by).requirement
        matching = [
            each
            for rules in layers
            for each in rules
            if naive(each["when"], given)
            and not ("unless" in each and naive(each["unless"], given))
        ]
        assert bool(found.denied_by) == any("deny" in each for each in matching)
        needs = [each["need"]["approvals"] for each in matching if "need" in each]
        assert found.approvals == max(needs, default=0)
        denied += bool(found.denied_by)
        asking += bool(needs)
    assert denied > 500
    assert asking > 1_000
