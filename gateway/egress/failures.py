"""The outcome of an attempt that failed: the request was not sent, or its outcome is unknown."""

import ssl

from gateway.egress.answer import NotHttp
from gateway.egress.connector import Unresolved
from gateway.egress.exchange import TooLate
from gateway.egress.guard import TargetRefusal
from gateway.outcomes import NoResponse, NotSent, TargetRefused
from gateway.telemetry.metrics import refusals
from gateway.telemetry.spans import Span, current


def not_sent(error: OSError) -> NotSent | TargetRefused:
    """No byte of the request was written."""
    match error:
        case TargetRefusal():
            return forbidden(error, current())
        case Unresolved():
            detail = "The name of the target does not resolve."
        case ssl.SSLError():
            detail = "TLS with the target failed: its certificate or its protocol."
        case TooLate():
            current().fail(type(error).__name__)
            return NotSent("Relay had no time left to try the target.", tried=False)
        case TimeoutError():
            detail = "The target did not accept a connection in time."
        case _:
            detail = "The target refused the connection."
    current().fail(type(error).__name__)
    return NotSent(detail)


def forbidden(refusal: TargetRefusal, span: Span) -> TargetRefused:
    span.fail(refusal.reason)
    if span.trace.counted:
        refusals.labels(refusal.reason).inc()
    return TargetRefused(str(refusal))


def no_response(error: Exception) -> NoResponse:
    """Bytes may have been written, and no whole, well-formed head came."""
    current().fail(type(error).__name__)
    match error:
        case TimeoutError():
            return NoResponse("The target did not answer in time.")
        case NotHttp():
            return NoResponse("The target answered something that is not HTTP.")
        case _:
            return NoResponse("The target closed the connection without an answer.")
