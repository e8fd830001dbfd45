"""Whether an answer with a 2xx says success: some providers refuse with 200 and a word in JSON."""

import json
from typing import Any, Literal

from gateway.problem import value_at

Judged = Literal["done", "refused", "unclear"]


def judged(judge: str, body: bytes | bytearray, *, whole: bool) -> Judged:
    """`judge`: as in Effect. `whole`: `body` is all that was sent; part of it is not judged."""
    kind, _, where = judge.partition(":")
    if kind == "status":
        return "done"
    if not whole:
        return "unclear"
    try:
        document: Any = json.loads(body)
        said = value_at(document, where)
    except (ValueError, LookupError, RecursionError):
        return "unclear"
    if not isinstance(said, bool):
        return "unclear"
    return "done" if said else "refused"
