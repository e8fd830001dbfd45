"""What holds for every policy, tried on 10,000 policies and previews from a fixed seed."""

import random
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from gateway.approvals.policy import Policy, Requirement
from gateway.approvals.policy_file import PreviewFacts

# They read 20,000 policies, which takes minutes while coverage is measured.
pytestmark = pytest.mark.timeout(900)

POOLS: dict[str, list[str]] = {
    "actions": ["webhook.save", "mail.send", "webhook.*", "*"],
    "hosts": ["api.bank.example", "*.bank.example", "hooks.example", "*"],
    "paths": ["/", "/v1/*", "/v1/refunds", "*s"],
    "methods": ["POST", "PUT", "GET", "P*"],
    "roles": ["operator", "developer", "admin"],
    "requesters": ["ann", "bob", "a*"],
    "kinds": ["live", "test"],
    "connections": ["ann@x.example", "*@x.example", "c-?", "mail", "*"],
}
# As whom: the id, the label and the account of a connection.
SENT_AS = [("", "", ""), ("c-1", "mail", "ann@x.example"), ("c-22", "crm", "crm")]
APPROVERS = ["role:approver", "role:admin", "subject:ann", "subject:bob", "key:k1"]
Approval = dict[str, str]


def matcher(dice: random.Random) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        name: dice.sample(pool, dice.randint(1, 2))
        for name, pool in POOLS.items()
        if dice.random() < 0.3
    }
    if dice.random() < 0.1:
        chosen["body_over"] = dice.choice([0, 100])
    if dice.random() < 0.1:
        chosen["warned"] = dice.random() < 0.5
    return chosen


def rule(dice: random.Random, name: str) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "when": matcher(dice)}
    if dice.random() < 0.3 and (excepted := matcher(dice)):
        made["unless"] = excepted
    if dice.random() < 0.15:
        return made | {"deny": True}
    need: dict[str, Any] = {"approvals": dice.randint(1, 2), "within": f"{dice.randint(1, 90)}m"}
    if dice.random() < 0.5:
        need["from"] = ["role:approver", *dice.sample(APPROVERS, 2)]
    return made | {"need": need}


def preview(dice: random.Random) -> PreviewFacts:
    host = dice.choice(["api.bank.example", "hooks.example", "bank.example"])
    path = dice.choice(["/", "/v1/refunds", "/v1/payouts", "/other"])
    connection, label, account = dice.choice(SENT_AS)
    return PreviewFacts(
        action=dice.choice(["webhook.save", "mail.send"]),
        method=dice.choice(["POST", "PUT", "GET"]),
        url=f"https://{host}{path}",
        role=dice.choice(POOLS["roles"]),
        requester=dice.choice(["ann", "bob"]),
        kind="live" if dice.random() < 0.7 else "test",
        body_bytes=dice.choice([0, 1, 100, 101]),
        warned=dice.random() < 0.3,
        connection=connection,
        label=label,
        account=account,
    )


def toml(rules: list[dict[str, Any]]) -> str:
    """TOML's inline tables are these rules' JSON with another sign."""
    return "rule = [" + ", ".join(_value(each) for each in rules) + "]"


def _value(given: Any) -> str:
    if isinstance(given, dict):
        return "{" + ", ".join(f"{name} = {_value(it)}" for name, it in given.items()) + "}"
    return msgspec.json.encode(given).decode()


def cases(count: int) -> Iterator[tuple[random.Random, list[dict[str, Any]], PreviewFacts]]:
    for seed in range(count):
        dice = random.Random(seed)
        rules = [rule(dice, f"r{number}") for number in range(dice.randint(0, 3))]
        yield dice, rules, preview(dice)


def naive(matchers: dict[str, Any], given: PreviewFacts) -> bool:
    """The sentence of the format, member by member."""
    values = {
        "actions": given.action,
        "hosts": urlsplit(given.url).hostname or "",
        "paths": urlsplit(given.url).path,
        "methods": given.method,
        "roles": given.role,
        "requesters": given.requester,
        "kinds": given.kind,
    }
    sent_as = filter(None, (given.connection, given.label, given.account))
    wanted = matchers.get("connections")
    return (
        all(
            any(fnmatchcase(value, pattern) for pattern in matchers[name])
            for name, value in values.items()
            if name in matchers
        )
        and (
            wanted is None
            or any(fnmatchcase(name, pattern) for name in sent_as for pattern in wanted)
        )
        and given.body_bytes > matchers.get("body_over", -1)
        and matchers.get("warned", given.warned) == given.warned
    )


@pytest.mark.slow
def test_a_naive_reading_of_the_rules_agrees() -> None:
    asking = 0
    for _, rules, given in cases(10_000):
        text = toml(rules)
        assert tomllib.loads(text)["rule"] == rules
        expected = [
            number
            for number, each in enumerate(rules)
            if naive(each["when"], given)
            and not ("unless" in each and naive(each["unless"], given))
        ]
        assert Policy(text).matching(given) == expected
        asking += bool(expected)
    assert 2_000 < asking < 9_000


def permitted(asked: Requirement, approvals: list[Approval], after_ms: int) -> bool:
    """Whether these approvals, all given after so many milliseconds, let the preview pass."""
    return (
        not asked.denied_by
        and (asked.allowed or after_ms < asked.decide_ms)
        and all(
            sum(need.counts(**approval) for approval in approvals) >= need.approvals
            for need in asked.needs
        )
    )


@pytest.mark.slow
def test_an_added_rule_never_permits_more() -> None:
    """Whatever set of approvals passes with a rule more passes without it too."""
    refused = 0
    for dice, rules, given in cases(10_000):
        position = dice.randint(0, len(rules))
        more = [*rules[:position], rule(dice, "added"), *rules[position:]]
        before, after = (Policy(toml(each)).requirement(given) for each in (rules, more))
        for _ in range(5):
            approvals = [
                {"subject": subject, "key": key, "role": dice.choice(["approver", "admin"])}
                for subject, key in dice.sample([("ann", "k1"), ("bob", "k2"), ("eve", "k3")], 2)
            ]
            after_ms = dice.randint(0, 90 * 60_000)
            if permitted(after, approvals, after_ms):
                assert permitted(before, approvals, after_ms)
            else:
                refused += permitted(before, approvals, after_ms)
    assert refused > 1_000
