"""`webhook.save`: send the caller's JSON to a URL, byte for byte."""

import re
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from gateway.actions.action import Action, BadParams, Connection
from gateway.effects import Effect
from gateway.problem import pointer
from gateway.signatures import HEADERS as SIGNATURE_HEADERS
from gateway.version import VERSION

# Routing, framing and hop-by-hop (RFC 9110, 7.6.1) belong to HTTP, not to the caller.
DENIED_HEADERS = {name.lower() for name in SIGNATURE_HEADERS} | set(
    """accept-encoding connection content-encoding content-length expect forwarded host keep-alive
    metadata-flavor te traceparent tracestate trailer transfer-encoding upgrade via""".split()
)
DENIED_PREFIXES = ("proxy-", "x-aws-ec2-metadata-token", "x-forwarded-")
# Headers that get a warning: the preview stores them, and its readers see them.
CREDENTIAL_HEADERS = {"authorization", "cookie", "x-api-key"}

HEADERS_MAX = 64


class WebhookParams(Struct, forbid_unknown_fields=True, kw_only=True):
    url: Annotated[str, Meta(description="The target; by default WEBHOOK_URL")] | UnsetType = UNSET
    method: Literal["POST", "PUT", "PATCH", "DELETE", "GET"] = "POST"
    headers: Annotated[dict[str, str], Meta(max_length=HEADERS_MAX)] = {}
    body: Annotated[Raw, Meta(description="Any JSON, sent byte for byte")] | UnsetType = UNSET


def webhook_save(*, default_url: str | None) -> Action[WebhookParams]:
    def prepare(params: WebhookParams, _seed: str, _connection: Connection | None) -> Effect:
        url = default_url if params.url is UNSET else params.url
        if url is None:
            raise BadParams("/url", "The params have no url, and WEBHOOK_URL is not set.")
        body = None if params.body is UNSET else bytes(params.body)
        return Effect(
            method=params.method,
            url=url,
            headers=_headers(params.headers, has_body=body is not None),
            body=body,
            summary=_summary(params.method, url, body),
            warnings=_warnings(params, body),
        )

    return Action(
        name="webhook.save",
        provider="independent",
        title="Send JSON to a URL",
        params=WebhookParams,
        prepare=prepare,
    )


def _headers(given: dict[str, str], *, has_body: bool) -> dict[str, str]:
    """Our default headers and the caller's, which replace defaults of the same name."""
    names = {_checked(name, value) for name, value in given.items()}
    if len(names) < len(given):
        raise BadParams("/headers", "A header appears twice; case, `-` and `_` make no difference.")
    defaults = {
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "User-Agent": f"relay-gateway/{VERSION}",
        **({"Content-Type": "application/json"} if has_body else {}),
    }
    kept = {name: value for name, value in defaults.items() if name.lower() not in names}
    return {**kept, **given}


def _checked(name: str, value: str) -> str:
    """The name as servers compare it. Raises BadParams."""
    where = pointer("headers", name)
    folded = _folded(name)
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", name):
        raise BadParams(where, "This is not a valid header name (RFC 9110, 5.1).")
    if folded in DENIED_HEADERS or folded.startswith(DENIED_PREFIXES):
        raise BadParams(where, "Relay or HTTP itself sets this header.")
    if not re.fullmatch(r"(?! )[\x20-\x7e]{0,4096}(?<! )", value):
        raise BadParams(
            where, "A value has at most 4096 visible ASCII characters, without spaces around it."
        )
    return folded


def _folded(name: str) -> str:
    """In lower case, with `-` for `_`: CGI and WSGI show both as one (RFC 3875, 4.1.18)."""
    return name.lower().replace("_", "-")


def _summary(method: str, url: str, body: bytes | None) -> str:
    size = "no body" if body is None else f"{len(body)} bytes of JSON"
    return f"{method} {url} with {size}"


def _warnings(params: WebhookParams, body: bytes | None) -> tuple[str, ...]:
    warnings = [
        f"The preview stores the header {name} in clear text."
        for name in params.headers
        if _folded(name) in CREDENTIAL_HEADERS
    ]
    if params.method == "GET" and body is not None:
        warnings.append("A GET with a body may be refused or lose its body (RFC 9110, 9.3.1).")
    return tuple(warnings)
