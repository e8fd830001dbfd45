"""What a policy asks of a preview."""

import time

import msgspec
import pytest

from gateway.approvals.policy import ALLOWED, Policy, Requirement
from gateway.approvals.policy_file import PreviewFacts
from stores.approvals import RuleNeed

REFUND = PreviewFacts("webhook.save", "POST", "https://api.bank.example/v1/refunds?for=ann")


def asked(rules: str, given: PreviewFacts = REFUND) -> Requirement:
    return Policy(rules).requirement(given)


def matches(when: str, given: PreviewFacts) -> bool:
    return not asked(f'[[rule]]\nname = "r"\nwhen = {{ {when} }}\ndeny = true', given).allowed


def excepts(unless: str, given: PreviewFacts) -> bool:
    return asked(f'[[rule]]\nname = "r"\nunless = {{ {unless} }}\ndeny = true', given).allowed


def refund(**members: object) -> PreviewFacts:
    return msgspec.structs.replace(REFUND, **members)


MAIL = refund(connection="c-1", label="Sales", account="ann@x.example")


@pytest.mark.parametrize(
    ("matcher", "given", "expected"),
    [
        ("", REFUND, True),
        ("actions = ['webhook.*']", REFUND, True),
        ("actions = ['mail.*', 'webhook.save']", REFUND, True),
        ("actions = ['webhook']", REFUND, False),
        ("actions = ['webhook.sav?']", REFUND, True),
        ("actions = ['webhook.[s]ave']", REFUND, False),
        ("methods = ['post']", REFUND, True),
        ("methods = ['PUT', 'DELETE']", REFUND, False),
        ("hosts = ['api.bank.example']", REFUND, True),
        ("hosts = ['API.Bank.Example.']", REFUND, True),
        ("hosts = ['*.bank.example']", REFUND, True),
        ("hosts = ['*.bank.example']", refund(url="https://bank.example/"), False),
        ("hosts = ['bank.example']", REFUND, False),
        ("hosts = ['bank.example']", refund(url="https://bank.example.:8443/"), True),
        ("hosts = ['bücher.example']", refund(url="https://xn--bcher-kva.example/"), True),
        ("hosts = ['bu\u0308cher.example']", refund(url="https://xn--bcher-kva.example/"), True),
        ("hosts = ['::1']", refund(url="https://[::1]/"), True),
        ("paths = ['/v1/refunds']", REFUND, True),
        ("paths = ['/v1/*']", REFUND, True),
        ("paths = ['/v1/Refunds']", REFUND, False),
        ("paths = ['/refunds']", REFUND, False),
        ("paths = ['/']", refund(url="https://bank.example"), True),
        ("paths = ['/v1/refunds']", refund(url="https://a.example/v1/%72efunds"), True),
        ("paths = ['/v1/refunds']", refund(url="https://a.example/x/../v1//refunds"), True),
        ("paths = ['/v1/refunds']", refund(url="https://a.example/v1/%2572efunds"), True),
        ("paths = ['/v1/refunds']", refund(url="https://a.example/v1/refunds/"), True),
        ("paths = ['/v1/refunds']", refund(url="https://a.example/v1;x=1/refunds;y"), True),
        ("paths = ['/v1/refunds']", refund(url="https://a.example/x/..;/v1/refunds"), True),
        ("paths = ['/v1/refunds']", refund(url="https://a.example/v1/refunds%3By=1"), True),
        ("paths = ['/v1/refunds']", refund(url="https://a.example/v1/%252e%252e/refunds"), False),
        ("paths = ['/refunds']", refund(url="https://a.example/v1/%252e%252e/refunds"), True),
        ("paths = ['/v1/refunds/']", refund(url="https://a.example/v1/refunds"), False),
        ("paths = ['/']", refund(url="https://bank.example//"), True),
        ("paths = ['/x/*']", refund(url="https://a.example/x/../v1/refunds"), True),
        ("roles = ['developer']", REFUND, False),
        ("roles = ['oper*']", REFUND, True),
        ("requesters = ['requester']", REFUND, True),
        ("requesters = ['request']", REFUND, False),
        ("kinds = ['test']", REFUND, False),
        ("kinds = ['live']", REFUND, True),
        ("body_over = 10", refund(body_bytes=10), False),
        ("body_over = 10", refund(body_bytes=11), True),
        ("body_over = 0", refund(body_bytes=0), False),
        ("connections = ['*']", REFUND, False),
        ("connections = ['*']", MAIL, True),
        ("connections = ['c-1']", MAIL, True),
        ("connections = ['sales']", MAIL, True),
        ("connections = ['ann@x.example']", MAIL, True),
        ("connections = ['ANN@X.example']", MAIL, True),
        ("connections = ['*@x.example']", MAIL, True),
        ("connections = ['ann@*', 'bob@*']", refund(account="Bob@x.example"), True),
        ("connections = ['bob@x.example', 'c-2']", MAIL, False),
        ("warned = true", REFUND, False),
        ("warned = true", refund(warned=True), True),
        ("warned = false", REFUND, True),
        ("actions = ['webhook.*'], methods = ['PUT']", REFUND, False),
        ("actions = ['webhook.*'], methods = ['POST']", REFUND, True),
    ],
)
def test_a_rule_matches_when_all_that_is_given_matches(
    matcher: str, given: PreviewFacts, expected: bool
) -> None:
    assert matches(matcher, given) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/free", True),
        ("/%66ree", False),
        ("/free/../refunds", False),
        ("/x/../free", False),
        ("/free;x", False),
    ],
)
def test_an_exception_holds_only_if_every_reading_of_the_path_matches(
    path: str, expected: bool
) -> None:
    """A path that servers may read otherwise gets around no rule."""
    given = refund(url=f"https://a.example{path}")
    assert excepts("paths = ['/free']", given) is expected


def test_unless_excepts_from_its_own_rule_only() -> None:
    rules = """
    [[rule]]
    name = "two"
    unless = { requesters = ["reconciler"] }
    need = { approvals = 2 }
    [[rule]]
    name = "one"
    need = {}
    """
    assert asked(rules).approvals == 2
    assert asked(rules, refund(requester="reconciler")).approvals == 1


def test_the_strictest_of_all_matching_rules_wins() -> None:
    """In any order: most approvals, each `from`, the shortest times."""
    one = """
    [[rule]]
    name = "one"
    need = { approvals = 1, from = ["subject:ann"], within = "30m", use_within = "20m" }
    """
    two = """
    [[rule]]
    name = "two"
    need = { approvals = 2, reason = "deny", within = "1h", use_within = "5m" }
    """
    for text in (one + two, two + one):
        found = asked(text)
        assert {need.rule: need.approvals for need in found.needs} == {"one": 1, "two": 2}
        assert (found.approvals, found.decide_ms, found.use_ms) == (2, 1_800_000, 300_000)
    never = '[[rule]]\nname = "never"\ndeny = true'
    assert asked(one + never).denied_by == ("never",)
    assert asked(one + never).decide_ms == 1_800_000


def test_the_default_holds_where_no_rule_matches() -> None:
    elsewhere = '[[rule]]\nname = "r"\nwhen = { hosts = ["b"] }\nneed = { approvals = 2 }\n'
    for default, expected in (
        ("allow", ALLOWED),
        ("deny", Requirement(denied_by=("default",))),
    ):
        policy = Policy(f'default = "{default}"\n{elsewhere}')
        assert policy.requirement(REFUND) == expected
        assert policy.requirement(refund(url="https://b/")).approvals == 2
    asks = asked('default = "approve"')
    assert asks.needs == (RuleNeed("default"),)
    assert (asks.decide_ms, asks.use_ms) == (3_600_000, 900_000)


def test_two_layers_ask_for_the_strictest_of_both() -> None:
    one, two = asked('[[rule]]\nname = "one"\nneed = {}'), asked('default = "approve"')
    assert [need.rule for need in (one & two).needs] == ["one", "default"]
    assert one & ALLOWED == ALLOWED & one == one


def test_an_approval_counts_for_rules_that_name_the_approver() -> None:
    named = RuleNeed("r", approvers=("subject:ann", "key:k1", "role:admin"))
    assert named.counts(subject="ann", key="k9", role="viewer")
    assert named.counts(subject="bob", key="k1", role="viewer")
    assert named.counts(subject="bob", key="k9", role="admin")
    assert not named.counts(subject="k1", key="ann", role="viewer")
    assert RuleNeed("r").counts(subject="bob", key="k9", role="viewer")


def test_hostile_patterns_take_linear_time() -> None:
    """A workspace cannot stop a gateway with a pattern that backtracks."""
    pattern = "*a" * 100 + "b"
    began = time.process_time()
    assert not matches(f"paths = ['{pattern}']", refund(url="https://b/" + "a" * 2000))
    assert time.process_time() - began < 1
