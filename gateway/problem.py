"""What every refusal carries (RFC 9457), and which member of a document is wrong (RFC 6901)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET, Struct, UnsetType


class FieldError(Struct, frozen=True):
    """`pointer`: the member of the request body (RFC 6901)."""

    pointer: str
    detail: str


class Problem(Exception):
    """A refusal. `headers` go out with it. `quota`: what is left of the caller's limits, where the
    store was asked. `approval`: what the preview waits for.
    """

    status: ClassVar[int]
    title: ClassVar[str]
    safe_to_retry: bool | UnsetType = UNSET  # unless what raises it knows more

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[FieldError] | UnsetType = UNSET,
        run_id: str | UnsetType = UNSET,
        safe_to_retry: bool | UnsetType = UNSET,
        checks: Sequence[Struct] | UnsetType = UNSET,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.errors = errors
        self.run_id = run_id
        self.safe_to_retry = self.safe_to_retry if safe_to_retry is UNSET else safe_to_retry
        self.checks = checks
        self.headers = headers or {}
        self.quota: object | None = None
        self.approval: Struct | UnsetType = UNSET


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
