"""`http.request`: any request to an HTTP API, as an account of the workspace if it names one."""

from base64 import b64decode
from collections.abc import Mapping
from typing import Annotated, NamedTuple
from urllib.parse import urlencode

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from gateway.actions.action import Action, BadParams, Connection
from gateway.actions.headers import HEADERS_MAX, clear_text_warnings, with_defaults
from gateway.effects import Effect

# They change what the connection itself is (RFC 9110, 9.3.6) or send a request back (9.3.8).
DENIED_METHODS = {"CONNECT", "TRACE"}
FORM_MAX = 256


class HttpParams(Struct, forbid_unknown_fields=True, kw_only=True):
    """At most one of `body`, `form`, `text` and `base64`."""

    connection: Annotated[
        str | None,
        Meta(description="The id or name of a connection to send it as", examples=["billing"]),
    ] = None
    method: Annotated[
        str, Meta(description="In upper case", pattern=r"^[A-Z]{1,32}$(?!\n)", examples=["PATCH"])
    ] = "POST"
    url: Annotated[
        str, Meta(description="The target", examples=["https://api.example.org/v1/invoices"])
    ]
    headers: Annotated[
        dict[str, str], Meta(description="Added to our own", max_length=HEADERS_MAX)
    ] = {}
    body: (
        Annotated[Raw, Meta(description="Any JSON, sent byte for byte", examples=[{"total": 1}])]
        | UnsetType
    ) = UNSET
    form: (
        Annotated[
            dict[str, str],
            Meta(description="The fields of a form", max_length=FORM_MAX, examples=[{"to": "ann"}]),
        ]
        | UnsetType
    ) = UNSET
    text: Annotated[str, Meta(description="Sent in UTF-8", examples=["Hello"])] | UnsetType = UNSET
    base64: (
        Annotated[str, Meta(description="Any bytes, in base64", examples=["AAEC"])] | UnsetType
    ) = UNSET


class Content(NamedTuple):
    body: bytes | None
    content_type: str | None
    described: str


def http_request() -> Action[HttpParams]:
    return Action(
        name="http.request",
        provider="independent",
        title="Send any HTTP request",
        params=HttpParams,
        prepare=_prepare,
        connects="optionally",
        scope="actions:http",
    )


def _prepare(params: HttpParams, _seed: str, connection: Connection | None) -> Effect:
    if params.method in DENIED_METHODS:
        raise BadParams("/method", f"Relay sends no {params.method}.")
    content = _content(params)
    who = f" as {connection.account}" if connection else ""
    return Effect(
        method=params.method,
        url=params.url,
        headers=with_defaults(
            params.headers,
            content_type=content.content_type,
            reserved=(connection.header,) if connection else (),
        ),
        body=content.body,
        summary=f"{params.method} {params.url}{who} with {content.described}",
        warnings=tuple(_warnings(params.method, params.headers, content)),
        credential=connection.credential() if connection else None,
    )


def _content(params: HttpParams) -> Content:
    members = ("body", "form", "text", "base64")
    given = [name for name in members if getattr(params, name) is not UNSET]
    if len(given) > 1:
        raise BadParams(f"/{given[1]}", f"There already is a {given[0]}; give one of them.")
    if params.body is not UNSET:
        return _described(bytes(params.body), "application/json", "JSON")
    if params.form is not UNSET:
        form = urlencode(params.form).encode()
        return _described(form, "application/x-www-form-urlencoded", "a form")
    if params.text is not UNSET:
        return _described(params.text.encode(), "text/plain; charset=utf-8", "text")
    if params.base64 is not UNSET:
        return _described(_decoded(params.base64), "application/octet-stream", "any kind")
    return Content(None, None, "no body")


def _described(body: bytes, content_type: str, kind: str) -> Content:
    return Content(body, content_type, f"{len(body)} bytes of {kind}")


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise BadParams("/base64", "This is not base64 (RFC 4648, 4).") from error


def _warnings(method: str, headers: Mapping[str, str], content: Content) -> list[str]:
    warnings = clear_text_warnings(headers)
    if method in ("GET", "HEAD") and content.body is not None:
        warnings.append(
            f"A {method} with a body may be refused or lose its body (RFC 9110, 9.3.1)."
        )
    return warnings
