"""Messages at Slack, as the app of a workspace there."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from gateway.actions.action import Action, Connection, Provider
from gateway.actions.headers import with_defaults
from gateway.actions.mail import LINE
from gateway.effects import Effect

SLACK = "https://slack.com"
# The metadata by which a message is found again: its payload names the preview.
EVENT_TYPE = "relay_preview"


class MessageParams(Struct, forbid_unknown_fields=True, kw_only=True):
    connection: Annotated[
        str | None,
        Meta(
            description="The id or name of the connection to post as; the only one if left out",
            examples=["Acme"],
        ),
    ] = None
    channel: Annotated[
        str,
        Meta(
            description="The id or name of the channel",
            min_length=1,
            max_length=80,
            pattern=LINE,
            examples=["C024BE91L"],
        ),
    ]
    text: Annotated[
        str,
        Meta(
            description="The message, in Slack's Markdown",
            min_length=1,
            max_length=40_000,
            examples=["The build is *green*."],
        ),
    ]
    thread: Annotated[
        Annotated[str, Meta(pattern=r"^[0-9]{1,12}\.[0-9]{6}$(?!\n)")] | None,
        Meta(description="The timestamp of a message to answer", examples=["1503435956.000247"]),
    ] = None


def post_message(provider: Provider) -> Action[MessageParams]:
    """Slack answers 200 also where it refuses, so that its body is judged."""

    def prepare(params: MessageParams, seed: str, connection: Connection | None) -> Effect:
        assert connection
        answer = " in a thread" if params.thread else ""
        return Effect(
            method="POST",
            url=f"{provider.origin(SLACK)}/api/chat.postMessage",
            headers=with_defaults({}, content_type="application/json; charset=utf-8"),
            body=msgspec.json.encode(_document(params, seed)),
            summary=f"Message from {connection.account} to {params.channel}{answer}: "
            f"{_shortened(params.text)}",
            warnings=_warnings(params.text),
            credential=connection.credential("chat:write"),
            judge="json:/ok",
        )

    return Action(
        name="slack.chat.post_message",
        provider="slack",
        title="Post a message at Slack",
        params=MessageParams,
        prepare=prepare,
        enabled=provider.enabled,
        connects="always",
    )


def _document(params: MessageParams, seed: str) -> dict[str, Any]:
    return {
        "channel": params.channel,
        "text": params.text,
        **({"thread_ts": params.thread} if params.thread else {}),
        "metadata": {"event_type": EVENT_TYPE, "event_payload": {"preview": seed}},
    }


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:79]}…"


def _warnings(text: str) -> tuple[str, ...]:
    called = [name for name in ("channel", "here", "everyone") if f"<!{name}" in text]
    return tuple(f"It notifies everyone by @{name}." for name in called)
