"""The headers that a send adds to those of the effect."""

from gateway.effects import Effect
from gateway.signatures import HEADERS as SIGNATURE_HEADERS
from gateway.telemetry.spans import propagated_names


def added_when_sent(effect: Effect, *, signed: bool) -> tuple[str, ...]:
    """Their names, as they are written. A tracestate is sent only where the caller of the execution
    has one and is trusted with it.
    """
    length = ("Content-Length",) if effect.has_length else ()
    if effect.credential:
        return ("Host", *length, effect.credential.header)
    return ("Host", *length, *(SIGNATURE_HEADERS if signed else ()), *propagated_names())
