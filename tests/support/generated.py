"""Requests that are hard to show: odd headers, numbers, members, letters and sizes."""

import json
from random import Random

from gateway.effects import Effect
from gateway.signatures import HEADERS as SIGNATURE_HEADERS
from tests.support.target import Delivery

METHODS = ("POST", "PUT", "PATCH", "DELETE", "GET")
# Scripts sort names that look like indices first: the first is always among the headers.
NAMES = ("7", "10", "0", "X-A", "x.b", "!", "a_b", "constructor", "__proto__", "|~", "4294967295")
VALUES = "aZ09 !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
NUMBERS = ("1.0", "-0", "1E400", "0.10", "12345678901234567890", "1e-7", "5")
LETTERS = (
    'aZ0 \u00e9\u00a0\u05d0\u202e\u2066\u200b\u2028\ufeff\u3164\u4e2d\U0001f600\U000e0041<&"\\'
)
ESCAPED = ("\\ud83d\\ude00", "\\u0000", "\\/", "\\u0041", "\\n", "\\r\\n", "\\t")
PLACES = (
    "/hook",
    "/a/../b",
    "/%2e%2E/x",
    "/?a=b&a=c",
    "/?q=%E2%80%AE",
    "/a;b=c",
    "//twice",
    "/@x:y",
)
# Bytes of JSON; a whole request to Relay has at most 256 KiB.
SIZES = (0, 1, 30, 498, 499, 500, 501, 3000)
LARGEST = 250_000
# Added when it is sent; see gateway/egress/additions.py.
ADDED = {"host", "content-length", "traceparent", "tracestate", *map(str.lower, SIGNATURE_HEADERS)}


def params(random: Random, target: str, *, size: int) -> str:
    """JSON of the params of `webhook.save`, with a body of about `size` bytes; 0: without one."""
    start = target.removesuffix("/hook")
    names = ["7", *random.sample(NAMES[1:], random.randrange(7))]
    random.shuffle(names)
    values = {
        name: "".join(random.choices(VALUES, k=random.randrange(30))).strip() for name in names
    }
    given = {"url": start + random.choice(PLACES), "method": random.choice(METHODS)}
    text = json.dumps({**given, "headers": values})
    if not size:
        return text
    return f'{text[:-1]}, "body": {_body(random, size)}}}'


def _body(random: Random, size: int) -> str:
    """JSON that any parser of it would write in another way."""
    space = random.choice(("", " ", "\n", "\r\n  ", "\t"))
    member = f'"a":{space}{random.choice(NUMBERS)},{space}"7": [{random.choice(NUMBERS)}]'
    known = random.choice((LETTERS, LETTERS[:4]))
    letters = "".join(random.choices(known, k=min(size, 500)))
    escaped = "".join(random.choices(ESCAPED, k=random.randrange(4)))
    once = json.dumps(letters, ensure_ascii=False)[1:-1]
    note = once * max(1, size // len(once.encode()))
    return f'{{{member},{space}{member},{space}"note":{space}"{note}{escaped}"}}'


def received(delivery: Delivery) -> Effect:
    """The effect, from nothing but what arrived at a receiver."""
    method, path, _ = delivery.line.split(" ")
    headers = {name: value for name, value in delivery.headers if name.lower() not in ADDED}
    url = f"http://{delivery.header('host')}{path}"
    return Effect(method=method, url=url, headers=headers, body=delivery.body, summary="")
