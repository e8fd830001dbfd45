"""OpenTelemetry's own variables. Its SDK reads them when it is loaded: it ignores some nonsense,
and other nonsense ends the process with a traceback. Relay refuses both before it loads the SDK.
So it does what would fail at every export: files without certificates or keys, and headers that
cannot be sent.
"""

import re
import ssl
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from gateway.config import parsers
from gateway.config.variables import quoted

SAMPLERS = (
    *("always_on", "always_off", "traceidratio"),
    *("parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"),
)


# What the SDK takes for a header; it leaves out any other with a warning that quotes it.
NAME = r"[!#-'*+.0-9A-Z^-z|~-]+"
# A pair without a `=` it leaves out, too.
ATTRIBUTE = re.compile(r"\s*[^=\s][^=]*=.*", re.DOTALL)
HEADER = re.compile(rf"({NAME})[ \t]*=([ !#-+\--:<-\[\]-~]*)")


class Rule(NamedTuple):
    """`secret`: its text is not repeated."""

    parse: Callable[[str], object]
    may_hold: str
    secret: bool = False


def _ratio(text: str) -> float:
    if not re.fullmatch(r"[0-9.]+([eE]-[0-9]+)?", text) or not 0 <= (ratio := float(text)) <= 1:
        raise ValueError(text)
    return ratio


def _headers(text: str) -> None:
    for pair in filter(None, map(str.strip, text.split(","))):
        match = HEADER.fullmatch(pair)
        name, value = map(unquote, match.groups()) if match else ("", "")
        if not (re.fullmatch(NAME, name) and re.fullmatch(r"[ -~]*", value)):
            raise ValueError(text)


def _attributes(text: str) -> None:
    if not all(ATTRIBUTE.fullmatch(pair) for pair in text.split(",") if pair):
        raise ValueError(text)


def _authorities(text: str) -> None:
    _loaded(lambda: _context().load_verify_locations(text))


def _context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _loaded(load: Callable[[], None]) -> None:
    try:
        load()
    except OSError as error:  # an SSLError is one
        raise ValueError(str(error)) from error


_COUNT = Rule(parsers.whole(0, 1_000_000), "a number, 0 to 1000000")
_SIZE = Rule(parsers.whole(1, 1_000_000), "a number, 1 to 1000000")
_MILLISECONDS = Rule(parsers.whole(1, 600_000), "a number of milliseconds, 1 to 600000")
_SECONDS = Rule(parsers.seconds(0.1, 600), "a number of seconds, 0.1 to 600")
_COMPRESSION = Rule(parsers.choice("none", "gzip", "deflate"), "none, gzip or deflate")
_HEADERS = Rule(
    _headers, "comma-separated name=value, with values percent-encoded, in ASCII", secret=True
)
_PROTOCOL = Rule(parsers.choice("http/protobuf"), "http/protobuf")
_CERTIFICATES = Rule(_authorities, "the path of a file with certificates in PEM")

RULES: Mapping[str, Rule] = {
    "OTEL_TRACES_SAMPLER": Rule(parsers.choice(*SAMPLERS), ", ".join(SAMPLERS)),
    "OTEL_TRACES_SAMPLER_ARG": Rule(_ratio, "a number, 0 to 1"),
    "OTEL_PYTHON_CONTEXT": Rule(parsers.choice("contextvars_context"), "contextvars_context"),
    "OTEL_PYTHON_METER_PROVIDER": Rule(
        parsers.choice("default_meter_provider", "sdk_meter_provider"),
        "default_meter_provider or sdk_meter_provider",
    ),
    "OTEL_RESOURCE_ATTRIBUTES": Rule(_attributes, "comma-separated pairs, such as key=value"),
    "OTEL_BSP_SCHEDULE_DELAY": _MILLISECONDS,
    "OTEL_BSP_EXPORT_TIMEOUT": _MILLISECONDS,
    "OTEL_BSP_MAX_QUEUE_SIZE": _SIZE,
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": _SIZE,
    "OTEL_EXPORTER_OTLP_TIMEOUT": _SECONDS,
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": _SECONDS,
    "OTEL_EXPORTER_OTLP_COMPRESSION": _COMPRESSION,
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": _COMPRESSION,
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": _PROTOCOL,
    "OTEL_EXPORTER_OTLP_HEADERS": _HEADERS,
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS": _HEADERS,
    "OTEL_EXPORTER_OTLP_CERTIFICATE": _CERTIFICATES,
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": _CERTIFICATES,
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
    """A sentence about the first invalid variable; None if all are valid."""
    for name, rule in RULES.items():
        if sentence := _judged(name, environ.get(name, ""), rule):
            return sentence
    return _wrong_pair(environ)


def _judged(name: str, text: str, rule: Rule) -> str | None:
    """With its blanks, because the SDK reads them too. An empty variable is not set."""
    try:
        if text:
            rule.parse(text)
    except ValueError:
        held = "a secret" if rule.secret else quoted(text)
        return f"{name} is {held}; it may hold {rule.may_hold}"
    return None


def _wrong_pair(environ: Mapping[str, str]) -> str | None:
    """The certificate that Relay shows to the collector, and its key."""
    certificate, its_name = _of_traces(environ, "CLIENT_CERTIFICATE")
    key, key_name = _of_traces(environ, "CLIENT_KEY")
    if key and not certificate:
        return f"{key_name} is set without {its_name}"

    def load(path: str) -> None:
        # A key that is encrypted would ask for its password on the terminal.
        _loaded(lambda: _context().load_cert_chain(certificate, path, password=""))

    its_key = f"the path of a file with the key of {its_name} in PEM, not encrypted"
    both = f"{_CERTIFICATES.may_hold} and their key, unless {key_name} names that"
    return _judged(its_name, certificate, _CERTIFICATES) or (
        _judged(key_name, key, Rule(load, its_key))
        if key
        else _judged(its_name, certificate, Rule(load, both))
    )


def _of_traces(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """The text of a variable, and its name: the one for traces, or the one for all signals."""
    general, own = f"OTEL_EXPORTER_OTLP_{name}", f"OTEL_EXPORTER_OTLP_TRACES_{name}"
    return (environ[own], own) if environ.get(own) else (environ.get(general, ""), general)
