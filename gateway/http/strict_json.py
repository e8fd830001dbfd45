"""Decode JSON of callers; what two parsers could read differently is refused (RFC 7493).

Bounds hold for the whole text: UTF-8, depth, number of values, no NaN. Inside of a member that is
kept byte for byte, names may repeat and integers may have any size.
"""

import json
import re
from typing import Any, TypeVar

import msgspec

from gateway import problems
from gateway.problem import FieldError, pointer, validation_detail

# Deeper or larger than what any client sends on purpose, and checked in about a millisecond.
DEPTH_MAX = 32
VALUES_MAX = 10_000
TOO_DEEP = f"The JSON has more than {DEPTH_MAX} levels."
# What a reader with floating-point numbers keeps (RFC 7493, 2.2).
INTEGER_MAX = 2**53 - 1

STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
EMPTY = re.compile(rb"\[\s*+\]|\{\s*+\}")
LONE_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)

T = TypeVar("T")


class Integer(str):
    """The digits of an integer, which Python would refuse to read beyond 4,300."""

    __slots__ = ()


# An object becomes a tuple of its members, an array a list.
MEMBERS = json.JSONDecoder(object_pairs_hook=tuple, parse_int=Integer, parse_float=str)


def decode(body: bytes, decoder: msgspec.json.Decoder[T], *, verbatim: tuple[str, ...] = ()) -> T:
    """`verbatim`: the names that lead to the member that is kept byte for byte.

    Raises MalformedJson and InvalidRequest.
    """
    try:
        text = body.decode()  # the decoder does not look into a raw member
        decoded = decoder.decode(body)
        _check_bounds(body)
        _check(MEMBERS.raw_decode(text.lstrip())[0], (), verbatim)
    except msgspec.ValidationError as error:
        where, detail = validation_detail(error)
        raise _invalid(where, detail) from error
    except (msgspec.DecodeError, ValueError) as error:
        detail = f"{error}."
        if LONE_SURROGATE.search(body):
            detail = "A string has half of a surrogate pair (RFC 7493, 2.1)."
        raise problems.MalformedJson(detail) from error
    except RecursionError as error:
        raise problems.MalformedJson(TOO_DEEP) from error
    return decoded


def _check_bounds(body: bytes) -> None:
    """Counts first: nearly every body is within the bounds even if no bracket were in a string."""
    opened = body.count(b"{") + body.count(b"[")
    if opened <= DEPTH_MAX and opened + body.count(b",") < VALUES_MAX:
        return
    bare = STRING.sub(b"s", body)
    opened = bare.count(b"{") + bare.count(b"[")
    if opened + bare.count(b",") - len(EMPTY.findall(bare)) >= VALUES_MAX:
        raise problems.MalformedJson(f"The JSON has more than {VALUES_MAX} values.")
    depth = 0
    for bracket in re.findall(rb"[\[\]{}]", bare):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEPTH_MAX:
            raise problems.MalformedJson(TOO_DEEP)


def _check(value: Any, path: tuple[str, ...], verbatim: tuple[str, ...]) -> None:
    """Raises InvalidRequest for a name that repeats and an integer that is too large."""
    if isinstance(value, tuple):
        if len(dict(value)) < len(value):
            names = [name for name, _ in value]
            name = next(name for name in names if names.count(name) > 1)
            detail = f"Object has the field `{name}` more than once."
            raise _invalid(pointer(*path, name), detail)
        for name, member in value:
            if type(member) is not str and (*path, name) != verbatim:
                _check(member, (*path, name), verbatim)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            _check(member, (*path, str(index)), verbatim)
    elif isinstance(value, Integer) and (len(value) > 17 or abs(int(value)) > INTEGER_MAX):
        raise _invalid(pointer(*path), f"Give an integer within {INTEGER_MAX}.")


def _invalid(where: str, detail: str) -> problems.InvalidRequest:
    return problems.InvalidRequest(detail, errors=[FieldError(where, detail)])
