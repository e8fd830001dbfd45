"""OpenTelemetry's own variables. Its SDK reads them when it is loaded: it ignores some nonsense,
and other nonsense ends the process with a traceback. Relay refuses both before it loads the SDK.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from gateway.config import parsers

SAMPLERS = (
    *("always_on", "always_off", "traceidratio"),
    *("parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"),
)


class Rule(NamedTuple):
    parse: Callable[[str], object]
    may_hold: str


def _ratio(text: str) -> float:
    if not 0 <= (ratio := float(text)) <= 1:
        raise ValueError(text)
    return ratio


_COUNT = Rule(parsers.whole(0, 1_000_000), "a number, 0 to 1000000")
_SIZE = Rule(parsers.whole(1, 1_000_000), "a number, 1 to 1000000")
_MILLISECONDS = Rule(parsers.whole(1, 600_000), "a number of milliseconds, 1 to 600000")
_SECONDS = Rule(parsers.seconds(0.1, 600), "a number of seconds, 0.1 to 600")
_COMPRESSION = Rule(parsers.choice("none", "gzip", "deflate"), "none, gzip or deflate")

RULES: Mapping[str, Rule] = {
    "OTEL_TRACES_SAMPLER": Rule(parsers.choice(*SAMPLERS), ", ".join(SAMPLERS)),
    "OTEL_TRACES_SAMPLER_ARG": Rule(_ratio, "a number, 0 to 1"),
    "OTEL_BSP_SCHEDULE_DELAY": _MILLISECONDS,
    "OTEL_BSP_EXPORT_TIMEOUT": _MILLISECONDS,
    "OTEL_BSP_MAX_QUEUE_SIZE": _SIZE,
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": _SIZE,
    "OTEL_EXPORTER_OTLP_TIMEOUT": _SECONDS,
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": _SECONDS,
    "OTEL_EXPORTER_OTLP_COMPRESSION": _COMPRESSION,
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": _COMPRESSION,
    **dict.fromkeys(
        (
            *("OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
            *("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
            *("OTEL_SPAN_EVENT_COUNT_LIMIT", "OTEL_SPAN_LINK_COUNT_LIMIT"),
            *("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT"),
        ),
        _COUNT,
    ),
}


def wrong(environ: Mapping[str, str]) -> str | None:
    """A sentence for the first variable that does not hold what it may, if any."""
    for name, rule in RULES.items():
        if text := environ.get(name, "").strip():
            try:
                rule.parse(text)
            except ValueError:
                return f"{name} is {text!r}; it may hold {rule.may_hold}"
    return None
