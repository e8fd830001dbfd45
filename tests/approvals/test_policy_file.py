"""The text of a policy: what is refused, and where."""

import time

import pytest

from gateway.approvals.policy import Policy
from gateway.approvals.policy_file import PolicyRefused

TEST = """
[[test]]
name = "a refund takes two"
given  = { action = "webhook.save", method = "POST", url = "https://api.bank.example/refunds" }
expect = { approvals = 2 }
"""
RULE = """
[[rule]]
name = "payments"
when = { hosts = ["*.bank.example"] }
need = { approvals = 2 }
"""


def refused(text: str) -> tuple[str, list[str]]:
    """The detail, and the pointer of each place that is wrong."""
    with pytest.raises(PolicyRefused) as raised:
        Policy(text)
    errors = raised.value.errors
    return str(raised.value), [error.pointer for error in errors] if errors else []


def rule(members: str) -> str:
    return f'[[rule]]\nname = "r"\n{members}'


def need(members: str) -> str:
    return rule(f"need = {{ {members} }}")


def test_a_policy_without_rules_allows_everything() -> None:
    assert Policy("").rules == ()


def test_text_that_is_no_toml_is_refused_with_its_line() -> None:
    detail, _ = refused('default = "allow"\nrule = = 3')
    assert "line 2" in detail


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ('deafult = "deny"', "/deafult"),
        ('default = "ask"', "/default"),
        (rule("when = { host = ['a'] }\ndeny = true"), "/rule/0/when/host"),
        (rule("when = { hosts = [''] }\ndeny = true"), "/rule/0/when/hosts/0"),
        (rule("when = { kinds = ['prod'] }\ndeny = true"), "/rule/0/when/kinds/0"),
        (rule("when = { body_over = -1 }\ndeny = true"), "/rule/0/when/body_over"),
        (rule("unless = {}\ndeny = true"), "/rule/0/unless"),
        (rule(""), "/rule/0"),
        (rule("deny = true\nneed = {}"), "/rule/0"),
        (rule("deny = true") + "\n" + rule("deny = true"), "/rule/1/name"),
        ("[[rule]]\ndeny = true", "/rule/0/name"),
        ('[[rule]]\nname = "a\\u202Eb"\ndeny = true', "/rule/0/name"),
        ('[[rule]]\nname = "a\\nb"\ndeny = true', "/rule/0/name"),
        (need("approvals = 0"), "/rule/0/need/approvals"),
        (need("approvals = 11"), "/rule/0/need/approvals"),
        (need("reason = 'often'"), "/rule/0/need/reason"),
        (need("within = '0s'"), "/rule/0/need/within"),
        (need("within = '24h1s'"), "/rule/0/need/within"),
        (need("use_within = '24h1s'"), "/rule/0/need/use_within"),
        (need("nag = '10m'"), "/rule/0/need/nag"),
        (need("remind = '1h'"), "/rule/0/need/remind"),
        (need("within = '5m', remind = '5m1s'"), "/rule/0/need/remind"),
        (need("remind = '0s'"), "/rule/0/need/remind"),
        (need("remind = 'soon'"), "/rule/0/need/remind"),
        (need("escalate = ['duty']"), "/rule/0/need/escalate"),
        (need("remind = '5m', escalate = ['']"), "/rule/0/need/escalate/0"),
        (need("from = ['ann']"), "/rule/0/need/from/0"),
        (need("from = ['role:boss']"), "/rule/0/need/from/0"),
        (need("from = ['role:admin', 'subject:a b']"), "/rule/0/need/from/1"),
        (need("approvals = 2, from = ['subject:ann']"), "/rule/0/need/approvals"),
        (need("approvals = 2, from = ['subject:ann', 'subject:ann']"), "/rule/0/need/approvals"),
        (TEST.replace("{ approvals = 2 }", "{}"), "/test/0/expect"),
        (TEST.replace("approvals = 2", "approvals = 2, deny = true"), "/test/0/expect"),
        (TEST.replace("action =", "acton ="), "/test/0/given/acton"),
        (TEST.replace("https://api", "https://["), "/test/0/given"),
        (TEST.replace("https://api.bank", "https://api.bänk"), "/test/0/given"),
        (TEST.replace("https://", "ftp://"), "/test/0/given"),
        (TEST.replace("POST", "post"), "/test/0/given"),
    ],
)
def test_a_wrong_member_is_named(text: str, pointer: str) -> None:
    assert refused(text)[1] == [pointer]


@pytest.mark.parametrize(
    ("member", "pattern"),
    [
        ("hosts", "bank.example:443"),
        ("hosts", "https://bank.example"),
        ("hosts", "bank.example/refunds"),
        ("hosts", "ann@bank.example"),
        ("hosts", "[::1]"),
        ("hosts", "bank.example "),
        ("paths", "refunds"),
        ("paths", "https://bank.example/refunds"),
        ("methods", "SEND"),
        ("roles", "Operator"),
        ("roles", "role:operator"),
    ],
)
def test_a_pattern_that_matches_no_preview_is_refused(member: str, pattern: str) -> None:
    """In a rule it would look like a guard and be none."""
    for place in ("when", "unless"):
        text = rule(f"{place} = {{ actions = ['a'], {member} = ['*', '{pattern}'] }}\ndeny = true")
        assert refused(text)[1] == [f"/rule/0/{place}/{member}/1"]


@pytest.mark.parametrize(
    "text",
    [
        rule("when = { hosts = ['*', '::1', '2001:db8:*', '10.*', 'bänk.example.'] }\ndeny = true"),
        rule("when = { paths = ['*', '/*', '?refunds'], methods = ['p*'] }\ndeny = true"),
        rule("when = { roles = ['*', 'op*', 'admin'] }\ndeny = true"),
        need(""),
        need("approvals = 10"),
        need("within = '24h', use_within = '24h'"),
        need("approvals = 2, from = ['subject:ann', 'key:k1']"),
        need("approvals = 2, from = ['role:admin']"),
        rule("unless = { requesters = ['ci'] }\ndeny = true"),
    ],
)
def test_the_neighbours_of_what_is_refused_are_accepted(text: str) -> None:
    assert Policy(text).rules == ("r",)


def test_a_policy_holds_at_most_64_kib() -> None:
    """Counted in bytes of UTF-8."""
    longest = "#" + "ä" * (32 * 1024 - 1) + "a"
    assert Policy(longest).rules == ()
    assert "64 KiB" in refused(longest + "a")[0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a = " + "[" * 20_000, "nested too deeply"),
        ("a = " + "{a = " * 10_000, "nested too deeply"),
        ("[" + ".".join("a" * 30_000) + "]", "a key of more than 50 parts"),
        ("a = 1\n" + " . ".join(['"a"'] * 52) + " = 1", "a key of more than 50 parts"),
        ("a = " + "1" * 5000, "no TOML"),
        ("\n".join(f"[[rule]]\nname = '{n}'\ndeny = true" for n in range(501)), "500 rules"),
        (rule(f"when = {{ hosts = {['a'] * 2001} }}\ndeny = true"), "2000 patterns"),
    ],
)
def test_a_text_that_takes_long_to_read_is_refused_at_once(text: str, sentence: str) -> None:
    """A workspace cannot stop a gateway with its policy."""
    began = time.process_time()
    assert sentence in refused(text)[0]
    assert time.process_time() - began < 1


def test_what_is_long_but_quick_to_read_is_accepted() -> None:
    many = "\n".join(f"[[rule]]\nname = '{n}'\ndeny = true" for n in range(500))
    assert len(Policy("# " + "." * 100 + "\n" + many).rules) == 500
    hosts = ["a." * 49 + "example", *["a"] * 1999]
    assert Policy(rule(f"when = {{ hosts = {hosts} }}\ndeny = true")).rules == ("r",)


def test_a_test_that_fails_refuses_the_policy() -> None:
    """And says what the policy decides instead."""
    assert Policy(RULE + TEST).tests == 1
    with pytest.raises(PolicyRefused) as raised:
        Policy(RULE + TEST.replace("= 2", "= 1"))
    (error,) = raised.value.errors or ()
    assert (error.pointer, error.detail) == (
        "/test/0",
        "a refund takes two: this preview needs 2 approvals.",
    )
    assert refused(RULE + TEST.replace("approvals = 2", "deny = true"))[1] == ["/test/0"]
    assert refused(TEST)[1] == ["/test/0"]
    denies = RULE.replace("need = { approvals = 2 }", "deny = true")
    with pytest.raises(PolicyRefused) as raised:
        Policy(denies + TEST)
    assert "is denied" in (raised.value.errors or ())[0].detail
