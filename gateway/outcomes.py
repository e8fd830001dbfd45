"""The outcome of a send, which follows from where it failed."""

from typing import Literal, NamedTuple

from msgspec import Struct


class Answered(Struct, frozen=True, kw_only=True):
    """A complete head (status line and headers) arrived, so the target has the request."""

    status_code: int
    response: str
    truncated: bool

    @property
    def success(self) -> bool:
        return 200 <= self.status_code < 300


class NoResponse(Struct, frozen=True):
    """Bytes were written and no complete head arrived. Relay never sends it again."""

    detail: str


class NotSent(Struct, frozen=True):
    """No byte of the request was written, so the send may be repeated."""

    detail: str


class TargetRefused(Struct, frozen=True):
    """The guard refused the target; no byte was written."""

    detail: str


Outcome = Answered | NoResponse | NotSent | TargetRefused


class RunStatus(NamedTuple):
    """An outcome in two words. `status`: of the run, or `not_sent`. `reason`: why it failed."""

    status: Literal["success", "failed", "unknown", "not_sent"]
    reason: (
        Literal[
            "target_status", "no_response", "target_unreachable", "target_forbidden", "interrupted"
        ]
        | None
    )


# Of a run whose end was not stored within its lease.
INTERRUPTED = RunStatus("unknown", "interrupted")


def run_status(outcome: Outcome) -> RunStatus:
    match outcome:
        case Answered(success=True):
            return RunStatus("success", None)
        case Answered():
            return RunStatus("failed", "target_status")
        case NoResponse():
            return RunStatus("unknown", "no_response")
        case NotSent():
            return RunStatus("not_sent", "target_unreachable")
        case TargetRefused():
            return RunStatus("not_sent", "target_forbidden")
