"""`webhook.save`: send the caller's JSON to a URL, byte for byte."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from gateway.actions.action import Action, BadParams, Connection
from gateway.actions.headers import HEADERS_MAX, clear_text_warnings, with_defaults
from gateway.effects import Effect


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
            headers=with_defaults(
                params.headers, content_type=None if body is None else "application/json"
            ),
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


def _summary(method: str, url: str, body: bytes | None) -> str:
    size = "no body" if body is None else f"{len(body)} bytes of JSON"
    return f"{method} {url} with {size}"


def _warnings(params: WebhookParams, body: bytes | None) -> tuple[str, ...]:
    warnings = clear_text_warnings(params.headers)
    if params.method == "GET" and body is not None:
        warnings.append("A GET with a body may be refused or lose its body (RFC 9110, 9.3.1).")
    return tuple(warnings)
