"""JSON Pointers (RFC 6901): where in a body an error lies."""

import re

import msgspec


def pointer(*names: str) -> str:
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)


def located(error: msgspec.ValidationError) -> tuple[str, str]:
    """The pointer and the sentence of what msgspec found wrong.

    msgspec does not say which entry of an object with free names it means;
    then the pointer is that object's.
    """
    detail, _, path = str(error).partition(" - at `$")
    steps = re.findall(r"\.([^.\[`]+)|\[(\d+)\]", path.partition("[...]")[0])
    names = [name or index for name, index in steps]
    if missing_or_unknown := re.search(r"(?:unknown|required) field `(.*)`", detail):
        names.append(missing_or_unknown[1])
    # The value itself is not repeated: it may be a secret in the wrong place.
    detail = re.sub(r"^(Invalid enum value) .*", r"\1", detail, flags=re.DOTALL)
    return pointer(*names), f"{detail}."
