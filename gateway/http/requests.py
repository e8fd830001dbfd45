"""Read requests: JSON bodies, query parameters, Idempotency-Key, Prefer.

A query parameter that is unknown, repeated or not as published is refused by its name.
"""

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct
from starlette.requests import ClientDisconnect, Request

from gateway import problems
from gateway.http.strict_json import decode
from gateway.problem import validation_detail

# Room for a large webhook; JSON of this size is checked in about a millisecond.
BODY_MAX = 256 * 1024
# RFC 7240 `wait`: how long a duplicate waits for the run of its key.
WAIT_DEFAULT = timedelta(seconds=10)
WAIT_MAX = timedelta(seconds=30)

# No database accepts a NUL.
Word = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
# Python finds `$` before a line feed at the end too.
Cursor = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_-]+$(?!\n)")]
Instant = Annotated[datetime, Meta(tz=True)]
PreviewId = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[!-~]+$(?!\n)")]
VisibleKey = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[!-~]+$(?!\n)")]
# Human-readable error per query parameter.
EXPECTED = {
    "limit": "Give a number from 1 to 200.",
    "version": "Give a number from 1 on.",
    **dict.fromkeys(
        ("status", "action", "principal", "event"), "Give 1 to 200 characters, no NUL."
    ),
    "cursor": "Send the next_cursor of a page of this list unchanged.",
    **dict.fromkeys(
        ("since", "until"),
        "Give a time like 2026-11-23T04:00:00Z; in a URL, write + as %2B.",
    ),
}

T = TypeVar("T")
Query = TypeVar("Query", bound=Struct)


async def read(
    request: Request[Any], decoder: msgspec.json.Decoder[T], *, verbatim: tuple[str, ...] = ()
) -> T:
    """The decoded body. `verbatim`: the names that lead to the member kept byte for byte.

    Raises UnsupportedMediaType, BodyTooLarge, MalformedJson and InvalidRequest.
    """
    return decode(await _body(request), decoder, verbatim=verbatim)


def header_values(request: Request[Any], name: bytes) -> list[str]:
    """The values of a header; Starlette decodes all headers to find one."""
    return [value.decode("latin-1") for key, value in request.scope["headers"] if key == name]


async def _body(request: Request[Any]) -> bytes:
    _check_media_type(request)
    length = ",".join(header_values(request, b"content-length")) or "0"
    if not length.isdecimal() or int(length[:12]) > BODY_MAX:
        raise _too_large()
    body, more = bytearray(), True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message["body"]
        more = message["more_body"]
        if len(body) > BODY_MAX:
            raise _too_large()
    return bytes(body)


def _too_large() -> problems.BodyTooLarge:
    """Made outside of the frame that raises it: else each keeps the other, and the body."""
    return problems.BodyTooLarge(f"A body can have at most {BODY_MAX} bytes.")


def _check_media_type(request: Request[Any]) -> None:
    media_types = header_values(request, b"content-type")
    if len(media_types) > 1:
        raise problems.InvalidRequest("Send one Content-Type.")
    if header_values(request, b"content-encoding"):
        raise problems.UnsupportedMediaType("Send the body without a Content-Encoding.")
    media_type = "".join(media_types).partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise problems.UnsupportedMediaType("Send the body with Content-Type: application/json.")


# As JSON Schema: bare, or a quoted string (RFC 8941).
IDEMPOTENCY_KEY = r'^([!#-~][!-~]{0,254}|"([!#-\[\]-~]|\\["\\]){1,255}")$'


def idempotency_key(request: Request[Any]) -> str | None:
    """The key, bare or as a quoted string (RFC 8941). Raises InvalidIdempotencyKey."""
    given = header_values(request, b"idempotency-key")
    if not given:
        return None
    quoted = re.fullmatch(r'"((?:[^"\\]|\\["\\])*)"', given[0])
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else given[0].removeprefix('"')
    bare = key == given[0]
    return checked_key(key if len(given) == 1 and (quoted or bare) else "")


def checked_key(key: str) -> str:
    """Raises InvalidIdempotencyKey."""
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        raise problems.InvalidIdempotencyKey(
            "Send one Idempotency-Key of 1 to 255 visible ASCII characters, bare or quoted."
        )
    return key


def wait(request: Request[Any]) -> timedelta:
    """`Prefer: wait=n`, in seconds; other preferences are ignored (RFC 7240)."""
    asked = wait_asked(request)
    return WAIT_DEFAULT if asked is None else asked


def wait_asked(request: Request[Any]) -> timedelta | None:
    """The same; None where the caller does not ask."""
    given = header_values(request, b"prefer")
    for preference in ",".join(given).split(",") if given else ():
        if match := re.fullmatch(r"\s*wait\s*=\s*\"?(\d{1,9})\"?\s*", preference, re.IGNORECASE):
            return min(timedelta(seconds=int(match[1])), WAIT_MAX)
    return None


NUMBERS = ("limit", "version")


def query(request: Request[Any], kind: type[Query]) -> Query:
    """The query parameters. Raises InvalidRequest."""
    given: dict[str, Any] = {}
    for name, text in request.query_params.multi_items():
        if name in given:
            raise parameter_refused(name, "Give it once.")
        number = name in NUMBERS and re.fullmatch(r"[0-9]{1,9}", text)
        given[name] = int(text) if number else text
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        where, detail = validation_detail(error)
        name = where[1:]
        if name not in kind.__struct_fields__:
            detail = "There is no such parameter."
        raise parameter_refused(name, EXPECTED.get(name, detail)) from error


def parameter_refused(parameter: str, detail: str) -> problems.InvalidRequest:
    return problems.InvalidRequest(f"The parameter {parameter}: {detail}")
