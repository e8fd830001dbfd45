"""Why a run was no success, as its document says it."""

from typing import Literal, get_args

from msgspec import Struct

NotSentCode = Literal["target_unreachable", "target_forbidden", "store_unavailable"]


class RunError(Struct, kw_only=True):
    """`safe_to_retry`: nothing was sent."""

    code: Literal["target_status", "no_response", "interrupted"] | NotSentCode
    detail: str
    safe_to_retry: bool = False


INTERRUPTED = RunError(
    code="interrupted",
    detail="The gateway that sent this ended before the answer was stored.",
)


def target_status(status_code: int) -> RunError:
    return RunError(code="target_status", detail=f"The target answered {status_code}.")


def no_response(detail: str) -> RunError:
    return RunError(code="no_response", detail=detail)


_NOT_SENT: dict[str, RunError] = {
    code: RunError(code=code, detail="No byte was sent.", safe_to_retry=True)
    for code in get_args(NotSentCode)
}


def kept(reason: str | None, status_code: int | None) -> RunError | None:
    """As an audit entry tells of it; None for a success, and for a run without an ending."""
    match reason:
        case "target_status":
            return target_status(status_code or 0)
        case "no_response":
            return no_response("No whole answer of the target came back.")
        case "interrupted":
            return INTERRUPTED
        case _:
            return _NOT_SENT.get(reason or "")
