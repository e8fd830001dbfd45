"""What the gateway answers, as frozen values. Members that a newer gateway adds are ignored."""

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from msgspec import Raw, Struct

from relay_client.problem_body import ApprovalNeeded
from relay_client.problems import RunFailed, RunUnknown

T = TypeVar("T")


class Wire(Struct, frozen=True, kw_only=True):
    """The text that a digest covers. `body_base64`: stands for a body that is not UTF-8."""

    head: str
    body: str = ""
    body_base64: str | None = None

    @property
    def digest(self) -> str:
        """Computed here, from what is shown: what an approver names in a decision."""
        body = (
            self.body.encode() if self.body_base64 is None else base64.b64decode(self.body_base64)
        )
        return f"sha256:{hashlib.sha256(self.head.encode() + body).hexdigest()}"


class Effect(Struct, frozen=True, kw_only=True):
    """The exact request. `body`: None where there is none, or where its bytes are not UTF-8; then
    `body_base64` has them. `added_when_sent`: names of headers that are added to it.
    """

    method: str
    url: str
    headers: dict[str, str]
    body: str | None
    digest: str
    wire: Wire
    body_base64: str | None = None
    added_when_sent: Sequence[str] = ()


class Preview(Struct, frozen=True, kw_only=True):
    """A checked request that has not been sent. `params`: JSON, byte for byte as Relay got them.
    `approval`: what has to happen before it can be executed; None if nothing has to.
    """

    preview_id: str
    action: str
    provider: str
    summary: str
    params: Raw
    warnings: Sequence[str]
    effect: Effect
    expires_at: datetime
    approval: ApprovalNeeded | None = None
    request_id: str = ""


class Result(Struct, frozen=True, kw_only=True):
    """`response`: the first 16 KiB of the target's answer; `truncated`: there was more."""

    status_code: int
    response: str
    truncated: bool


class RunError(Struct, frozen=True, kw_only=True):
    """Why a run is no success. `safe_to_retry`: nothing was sent."""

    code: str
    detail: str
    safe_to_retry: bool = False


class ApprovedBy(Struct, frozen=True, kw_only=True):
    """`approvers`: their subjects. `policies`: the digests of the policies that asked."""

    approvers: Sequence[str]
    policies: Sequence[str]


class Run(Struct, frozen=True, kw_only=True):
    """One execution. `status`: running, success, failed, unknown or not_sent. `replayed`: this
    answer is that of an earlier request.
    """

    run_id: str
    preview_id: str
    action: str
    provider: str
    status: str
    started_at: datetime
    result: Result | None = None
    error: RunError | None = None
    duration_ms: int | None = None
    trace_link: str | None = None
    approval: ApprovedBy | None = None
    request_id: str = ""
    replayed: bool = False

    @property
    def unknown(self) -> bool:
        """Whether bytes were sent and no answer came back.

        Relay never sends them again, and a new preview of the same might do it twice. Look at the
        target first: its `webhook-id` is `run_id`.
        """
        return self.status == "unknown"

    def raise_for_status(self) -> None:
        """Raise RunUnknown if nothing is known of the outcome, RunFailed if it is no success."""
        if self.unknown:
            raise RunUnknown(self)
        if self.status != "success":
            raise RunFailed(self)


class ListedRun(Struct, frozen=True, kw_only=True):
    """A run as a list has it, without the target's answer. `reason`: why it is no success."""

    run_id: str
    preview_id: str
    action: str
    provider: str
    principal: str
    status: str
    started_at: datetime
    reason: str | None = None
    status_code: int | None = None
    duration_ms: int | None = None
    trace_link: str | None = None


class Action(Struct, frozen=True, kw_only=True):
    """`params`: the JSON Schema of what the action accepts."""

    name: str
    provider: str
    title: str
    enabled: bool
    params: dict[str, Any]


class RuleState(Struct, frozen=True, kw_only=True):
    """A rule that asks for approvals. `approvers`: who counts; empty: every key that may decide.
    `left`: how many are missing.
    """

    rule: str
    approvals: int
    approvers: Sequence[str]
    left: int
    reason: str = ""


class Decision(Struct, frozen=True, kw_only=True):
    """`decision`: approve or deny. `subject`: whose it is."""

    decision: str
    subject: str
    decided_at: datetime
    reason: str = ""


class ListedApproval(Struct, frozen=True, kw_only=True):
    """An approval as a list has it. `summary`, `method` and `url` are None once the request is no
    longer kept. `use_by`: once approved, until when it may be executed.
    """

    preview_id: str
    state: str
    action: str
    provider: str
    digest: str
    requester: str
    rules: Sequence[RuleState]
    deciders: Sequence[Decision]
    requested_at: datetime
    decide_by: datetime
    summary: str | None = None
    method: str | None = None
    url: str | None = None
    warnings: Sequence[str] = ()
    use_by: datetime | None = None
    run_id: str | None = None


class Approval(ListedApproval, frozen=True, kw_only=True):
    """An approval with the very bytes of its request; `wire` is None once it has ended."""

    wire: Wire | None = None
    added_when_sent: Sequence[str] = ()
    request_id: str = ""


class Actions(Struct, frozen=True):
    """All actions of a gateway."""

    actions: Sequence[Action]


class Runs(Struct, frozen=True):
    """One page of runs."""

    runs: Sequence[ListedRun]
    next_cursor: str | None = None


class Approvals(Struct, frozen=True):
    """One page of approvals."""

    approvals: Sequence[ListedApproval]
    next_cursor: str | None = None


class Page(NamedTuple, Generic[T]):
    """A page of anything. `next_cursor`: None on the last one."""

    items: Sequence[T]
    next_cursor: str | None


class Decided(Struct, frozen=True):
    """The state of an approval after a decision."""

    state: str
