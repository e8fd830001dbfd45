"""Which member of a document is wrong, and why (RFC 6901)."""

import re
from typing import Any

import msgspec
from msgspec import Struct


class FieldError(Struct, frozen=True):
    """`pointer`: the member of the request body (RFC 6901)."""

    pointer: str
    detail: str


def pointer(*names: str) -> str:
    """The JSON Pointer of a member (RFC 6901)."""
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)


def value_at(document: Any, where: str) -> Any:
    """The value at a JSON Pointer. Raises LookupError."""
    for part in where.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, list) and re.fullmatch(r"0|[1-9][0-9]{0,8}", name):
            document = document[int(name)]
        elif isinstance(document, dict):
            document = document[name]
        else:
            raise LookupError(name)
    return document


def validation_detail(error: msgspec.ValidationError) -> tuple[str, str]:
    """The pointer and the sentence of what msgspec found wrong.

    msgspec does not name the member of an object with free names; the pointer is then the
    object's.
    """
    detail, _, path = str(error).partition(" - at `$")
    steps = re.findall(r"\.([^.\[`]+)|\[(\d+)\]", path.partition("[...]")[0])
    names = [name or index for name, index in steps]
    if missing_or_unknown := re.search(r"(?:unknown|required) field `(.*)`", detail):
        names.append(missing_or_unknown[1])
    # The value itself is not repeated: it may be a secret in the wrong place.
    detail = re.sub(r"^(Invalid enum value) .*", r"\1", detail, flags=re.DOTALL)
    return pointer(*names), f"{detail}."
