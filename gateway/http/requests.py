"""Request bodies, small response bodies, and what a request must be to be looked at."""

import json
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Raw, Struct
from starlette.requests import Request

from gateway import problems
from gateway.pointers import located, pointer

# Room for a large webhook; JSON of this size is checked in about a millisecond.
BODY_MAX = 256 * 1024
# RFC 7240 `wait`: how long a duplicate waits for the run of its key.
WAIT_DEFAULT = timedelta(seconds=10)
WAIT_MAX = timedelta(seconds=30)

T = TypeVar("T")


class PreviewRequest(Struct, forbid_unknown_fields=True):
    action: str
    params: Raw


class ExecuteRequest(Struct, forbid_unknown_fields=True):
    preview_id: str


class ActionBody(Struct, kw_only=True):
    name: str
    provider: str
    title: str
    enabled: bool
    params: dict[str, Any]


class ActionsBody(Struct, kw_only=True):
    actions: Sequence[ActionBody]
    request_id: str


class HealthBody(Struct, kw_only=True):
    status: Literal["alive"] = "alive"
    request_id: str


class ReadyBody(Struct, kw_only=True):
    status: Literal["ready"] = "ready"
    checks: Sequence[problems.CheckBody]
    request_id: str


class VersionBody(Struct, kw_only=True):
    name: Literal["relay-gateway"] = "relay-gateway"
    version: str
    request_id: str


async def read(request: Request[Any], decoder: msgspec.json.Decoder[T]) -> T:
    """The decoded body. Raises the problems of section "body" of the tree in problems.py."""
    return decode(await _body(request), decoder)


async def read_once(request: Request[Any], decoder: msgspec.json.Decoder[T]) -> T:
    """The same, for small flat objects: no member may be there twice (of which one would count)."""
    body = await _body(request)
    decoded = decode(body, decoder)
    # Slower than the decoder, which has refused all that this one may choke on.
    json.loads(body, object_pairs_hook=_refuse_twins)
    return decoded


def _refuse_twins(members: Sequence[tuple[str, Any]]) -> None:
    names = [name for name, _ in members]
    for name in names:
        if names.count(name) > 1:
            detail = f"Object has the field `{name}` more than once."
            field = problems.FieldError(pointer(name), detail)
            raise problems.InvalidRequest(detail, errors=[field])


async def _body(request: Request[Any]) -> bytes:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise problems.UnsupportedMediaType("Send the body with Content-Type: application/json.")
    too_large = problems.BodyTooLarge(f"A body may be {BODY_MAX} bytes long.")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:12]) > BODY_MAX:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_MAX:
            raise too_large
    return bytes(body)


def decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Raises MalformedJson and InvalidRequest."""
    try:
        body.decode()  # a raw member is not looked into by the decoder
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        where, detail = located(error)
        field = problems.FieldError(where, detail)
        raise problems.InvalidRequest(detail, errors=[field]) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise problems.MalformedJson(f"{error}.") from error
    except RecursionError as error:
        raise problems.MalformedJson("The JSON is nested too deeply.") from error


def idempotency_key(request: Request[Any]) -> str | None:
    """The key, bare or as a quoted string (RFC 8941). Raises InvalidIdempotencyKey."""
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    quoted = re.fullmatch(r'"((?:[^"\\]|\\["\\])*)"', given[0])
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else given[0].removeprefix('"')
    bare = key == given[0]
    if len(given) > 1 or not (quoted or bare) or not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        raise problems.InvalidIdempotencyKey(
            "Send one Idempotency-Key of 1 to 255 visible ASCII characters, bare or quoted."
        )
    return key


def wait(request: Request[Any]) -> timedelta:
    """`Prefer: wait=n`, in seconds; a preference that is not understood is none (RFC 7240)."""
    for preference in ",".join(request.headers.getlist("prefer")).split(","):
        if match := re.fullmatch(r"\s*wait\s*=\s*\"?(\d{1,9})\"?\s*", preference, re.IGNORECASE):
            return min(timedelta(seconds=int(match[1])), WAIT_MAX)
    return WAIT_DEFAULT
