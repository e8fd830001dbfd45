"""What may stand behind the question mark, and how it is read.

A parameter that is unknown, given twice or not as published is refused by its name.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request

from gateway import problems
from gateway.pointers import located

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Two of the longest cursors fit in; no database takes a NUL.
Word = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
Instant = Annotated[datetime, Meta(tz=True)]
T = TypeVar("T", bound="RunsQuery")
# What the reader of a type knows, and the sender of a query does not.
EXPECTED = {
    "limit": "Give a number, 1 to 200.",
    **dict.fromkeys(
        ("status", "action", "principal", "event", "cursor"), "Give 1 to 200 characters, no NUL."
    ),
    **dict.fromkeys(
        ("since", "until"),
        "Give a moment like 2026-11-23T04:00:00Z; in a URL + is written %2B.",
    ),
}


class RunsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`since` is in, `until` is not."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Word | None = None
    status: Word | None = None
    action: Word | None = None
    principal: Word | None = None
    since: Instant | None = None
    until: Instant | None = None


class AuditQuery(RunsQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    event: Word | None = None


def query(request: Request[Any], kind: type[T]) -> T:
    """Raises InvalidRequest."""
    given: dict[str, Any] = {}
    for name, text in request.query_params.multi_items():
        if name in given:
            raise refused(name, "Give it once.")
        number = name == "limit" and re.fullmatch(r"[0-9]{1,9}", text)
        given[name] = int(text) if number else text
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        where, detail = located(error)
        name = where[1:]
        if name not in kind.__struct_fields__:
            detail = "There is no such parameter."
        raise refused(name, EXPECTED.get(name, detail)) from error


def refused(parameter: str, detail: str) -> problems.InvalidRequest:
    return problems.InvalidRequest(f"The parameter {parameter}: {detail}")


def epoch_ms(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - EPOCH) // timedelta(milliseconds=1)
