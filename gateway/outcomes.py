"""The outcome of a send, which follows from where it failed, and the status of its run.

A run is `unknown` for one of four reasons:
- `unclear_answer`: the answer had to be judged by its body, which was not whole or no such JSON.
- `no_response`: bytes may be out and no complete head came back (`egress/client.py`). The runner
  stores it like any other outcome.
- `interrupted`: its lease ended without a stored outcome. `Run.interrupted` says so to callers at
  once; `collect.lua` records it for the audit.
- `forgotten`: Redis has lost the run. `audit/maintenance.py` records it in the database.
"""

from typing import Literal, NamedTuple

from msgspec import Struct


class Answered(Struct, frozen=True, kw_only=True):
    """A complete head (status line and headers) arrived, so the target has the request. `judged`:
    what a 2xx says in its body, where the effect names a judge.
    """

    status_code: int
    response: str
    truncated: bool
    judged: Literal["done", "refused", "unclear"] = "done"

    @property
    def accepted(self) -> bool:
        return 200 <= self.status_code < 300

    @property
    def success(self) -> bool:
        return self.accepted and self.judged == "done"


class NoResponse(Struct, frozen=True):
    """Bytes were written and no complete head arrived. Relay never sends it again."""

    detail: str


NotSentReason = Literal[
    "target_unreachable",
    "target_suspended",
    "approval_outdated",
    "connection_outdated",
    "connection_needs_reauth",
    "connection_unavailable",
]


class NotSent(Struct, frozen=True):
    """No byte of the request was written, so the send may be repeated. `reason`: why. `tried`:
    whether the target had a chance to take it.
    """

    detail: str
    reason: NotSentReason = "target_unreachable"
    tried: bool = True


class TargetRefused(Struct, frozen=True):
    """The guard refused the target; no byte was written."""

    detail: str


Outcome = Answered | NoResponse | NotSent | TargetRefused


class RunStatus(NamedTuple):
    """An outcome in two words. `status`: of the run, or `not_sent`. `reason`: why it failed.
    `forgotten` is none of a send: only the audit says it.
    """

    status: Literal["success", "failed", "unknown", "not_sent"]
    reason: (
        Literal[
            "target_status",
            "target_refused",
            "unclear_answer",
            "no_response",
            "interrupted",
            "target_forbidden",
        ]
        | NotSentReason
        | None
    )


# Of a run whose end was not stored within its lease.
INTERRUPTED = RunStatus("unknown", "interrupted")


def run_status(outcome: Outcome) -> RunStatus:
    match outcome:
        case Answered(success=True):
            return RunStatus("success", None)
        case Answered(accepted=True, judged="refused"):
            return RunStatus("failed", "target_refused")
        case Answered(accepted=True):
            return RunStatus("unknown", "unclear_answer")
        case Answered():
            return RunStatus("failed", "target_status")
        case NoResponse():
            return RunStatus("unknown", "no_response")
        case NotSent(reason=reason):
            return RunStatus("not_sent", reason)
        case TargetRefused():
            return RunStatus("not_sent", "target_forbidden")
