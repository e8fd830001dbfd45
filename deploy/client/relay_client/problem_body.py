"""The body of a refusal, and what stands in it."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct, field


class FieldError(Struct, frozen=True):
    """`pointer`: the member of the request that is wrong (RFC 6901)."""

    pointer: str
    detail: str


class ApprovalNeeded(Struct, frozen=True, kw_only=True):
    """What a preview waits for. `needed`: how many approvals. `approvers`: who counts; empty: every
    key that may decide. `url`: the page of the approval, if the gateway has one.
    """

    state: str
    needed: int
    decide_by: datetime
    rules: Sequence[str] = ()
    approvers: Sequence[str] = field(name="from", default=())
    url: str | None = None


class ProblemBody(Struct, frozen=True, kw_only=True):
    """The body of a refusal (RFC 9457)."""

    code: str
    title: str = ""
    detail: str = ""
    request_id: str | None = None
    run_id: str | None = None
    safe_to_retry: bool | None = None
    errors: Sequence[FieldError] = ()
    approval: ApprovalNeeded | None = None
