"""Names and `*.name` are looked up, other patterns are tried; both read a policy alike."""

import random
import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import pytest

from gateway.approvals.policy import Policy
from gateway.approvals.policy_file import PreviewFacts
from tests.approvals.test_policy import matches, refund

LABELS = ("a", "b", "ab", "x-1", "example")


def policy(hosts: Sequence[Sequence[str]]) -> Policy:
    """Rule n matches these hosts; all others of a preview match too."""
    rules = [
        f"[[rule]]\nname = 'r{number}'\nwhen = {{ hosts = {list(texts)} }}\ndeny = true\n"
        for number, texts in enumerate(hosts)
    ]
    return Policy("".join(rules))


def given(host: str) -> PreviewFacts:
    return PreviewFacts("webhook.save", "POST", f"https://{host}/hook")


def host(dice: random.Random) -> str:
    return ".".join(dice.choices(LABELS, k=dice.randint(1, 4)))


def pattern(dice: random.Random) -> str:
    """A name, `*.name`, or one with `*` and `?` wherever it falls."""
    name = host(dice)
    at = dice.randrange(len(name))
    kinds = [name, f"*.{name}", f"*{name}", f"{name}*", "*", "?.a", "*.*", "*.?", "**.a"]
    return dice.choice([*kinds, f"{name[:at]}*{name[at:]}", f"{name[:at]}?{name[at + 1 :]}"])


def test_every_kind_of_pattern_matches_as_a_naive_reading_does() -> None:
    """On 20,000 hosts and patterns from a fixed seed, several patterns a rule."""
    dice, found = random.Random(1), 0
    for _ in range(200):
        hosts = [[pattern(dice) for _ in range(dice.randint(1, 3))] for _ in range(10)]
        read = policy(hosts)
        for name in (host(dice) for _ in range(10)):
            expected = [
                number
                for number, texts in enumerate(hosts)
                if any(fnmatchcase(name, text) for text in texts)
            ]
            assert read.matching(given(name)) == expected, (name, hosts)
            found += len(expected)
    assert 5_000 < found < 15_000


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example",
        "https://a.example/",
        "https://a.example:8443/x",
        "http://a.example:80?x=/y",
        "https://a.example?x=/y#/z",
        "https://a.example#/z",
        "https://a.example/x?y=%2F&z=1#w",
        "https://a.example/x/~y/_z-1.json?",
        "https://user@a.example/x",
        "https://a.example@b.example/x",
        "https://a.example:@b.example/x",
        "https://a.example:443@b.example/x",
        "HTTPS://A.Example/X",
        "https://[2001:db8::1]:8443/x",
        "https://a_b.example/x",
        "https://a.example/x@y",
        "https://a.example:123456/x",
    ],
)
def test_a_url_is_read_as_the_library_reads_it(url: str) -> None:
    parts = urlsplit(url)
    hosts, paths = f"hosts = ['{parts.hostname}']", f"paths = ['{parts.path or '/'}']"
    assert matches(f"{hosts}, {paths}", refund(url=url))
    assert not matches("hosts = ['other.example']", refund(url=url))
    assert not matches("paths = ['/other']", refund(url=url))


def seconds(count: int) -> float:
    """CPU time of 300 decisions on hosts that were not asked before, over so many rules."""
    names = [(f"api{number}.bank.example", f"*.shop{number}.example") for number in range(count)]
    read, asked = policy(names), [given(f"c{number}.new.example") for number in range(900)]
    rounds = []
    for start in (0, 300, 600):
        began = time.process_time()
        for each in asked[start : start + 300]:
            read.requirement(each)
        rounds.append(time.process_time() - began)
    return min(rounds)


def test_a_new_host_costs_the_same_however_many_rules_name_one() -> None:
    """100 times as many rules cost less than four times as much."""
    assert seconds(500) < 4 * seconds(5)
