"""What every refusal of the HTTP surface carries (RFC 9457)."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from msgspec import UNSET, Struct, UnsetType

from gateway.pointers import FieldError


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
