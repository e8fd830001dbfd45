"""Headers that callers give: checked, and joined with our defaults."""

import re
from collections.abc import Collection, Iterable, Mapping

from gateway.actions.action import BadParams
from gateway.problem import pointer
from gateway.signatures import HEADERS as SIGNATURE_HEADERS
from gateway.version import VERSION

# Routing, framing and hop-by-hop (RFC 9110, 7.6.1) belong to HTTP, not to the caller.
DENIED = {name.lower() for name in SIGNATURE_HEADERS} | set(
    """accept-encoding connection content-encoding content-length expect forwarded host keep-alive
    metadata-flavor te traceparent tracestate trailer transfer-encoding upgrade via""".split()
)
DENIED_PREFIXES = ("proxy-", "x-aws-ec2-metadata-token", "x-forwarded-")
# Headers that get a warning: the preview stores them, and its readers see them.
CREDENTIALS = {"authorization", "cookie", "x-api-key"}

HEADERS_MAX = 64


def with_defaults(
    given: Mapping[str, str], *, content_type: str | None, reserved: Collection[str] = ()
) -> dict[str, str]:
    """Our default headers and the caller's, which replace defaults of the same name.
    `content_type`: None without a body. `reserved`: names that a credential takes.

    Raises BadParams.
    """
    taken = {folded(name) for name in reserved}
    names = {_checked(name, value, taken) for name, value in given.items()}
    if len(names) < len(given):
        raise BadParams("/headers", "A header appears twice; case, `-` and `_` make no difference.")
    defaults = {
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "User-Agent": f"relay-gateway/{VERSION}",
        **({"Content-Type": content_type} if content_type else {}),
    }
    kept = {name: value for name, value in defaults.items() if name.lower() not in names}
    return {**kept, **given}


def clear_text_warnings(names: Iterable[str]) -> list[str]:
    return [
        f"The preview stores the header {name} in clear text."
        for name in names
        if folded(name) in CREDENTIALS
    ]


def _checked(name: str, value: str, taken: Collection[str]) -> str:
    """The name as servers compare it. Raises BadParams."""
    where, compared = pointer("headers", name), folded(name)
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", name):
        raise BadParams(where, "This is not a valid header name (RFC 9110, 5.1).")
    if compared in DENIED or compared.startswith(DENIED_PREFIXES):
        raise BadParams(where, "Relay or HTTP itself sets this header.")
    if compared in taken:
        raise BadParams(where, "The connection sets this header.")
    if not re.fullmatch(r"(?! )[\x20-\x7e]{0,4096}(?<! )", value):
        raise BadParams(
            where, "A value has at most 4096 visible ASCII characters, without spaces around it."
        )
    return compared


def folded(name: str) -> str:
    """In lower case, with `-` for `_`: CGI and WSGI show both as one (RFC 3875, 4.1.18)."""
    return name.lower().replace("_", "-")
