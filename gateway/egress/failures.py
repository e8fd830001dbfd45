"""The outcome of an attempt that failed: the request was not sent, or its outcome is unknown.

A response counts once its head (status line and headers) is complete and well-formed, as aiohttp
returns it. Before that the run is `unknown`, which is the safe side.
"""

import aiohttp

from gateway.egress.guard import TargetRefusal
from gateway.outcomes import NoResponse, NotSent, Outcome, TargetRefused
from gateway.telemetry.metrics import refusals
from gateway.telemetry.spans import Span, current


def failure(error: Exception, *, written: bool) -> Outcome:
    if written:
        return NoResponse(_after_writing(error))
    cause = getattr(error, "os_error", error)
    if isinstance(cause, TargetRefusal):
        return forbidden(cause, current())
    match error:
        case aiohttp.ClientConnectorDNSError():
            return NotSent("The name of the target does not resolve.")
        case aiohttp.ClientSSLError():
            return NotSent("TLS with the target failed: its certificate or its protocol.")
        case TimeoutError():
            return NotSent("The target did not accept a connection in time.")
        case _:
            return NotSent("The target refused the connection.")


def forbidden(refusal: TargetRefusal, span: Span) -> TargetRefused:
    span.fail(refusal.reason)
    if span.trace.counted:
        refusals.labels(refusal.reason).inc()
    return TargetRefused(str(refusal))


def _after_writing(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "The target did not answer in time."
        case aiohttp.ClientResponseError():
            return "The target answered something that is not HTTP."
        case _:
            return "The target closed the connection without an answer."
