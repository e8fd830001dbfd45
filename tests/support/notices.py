"""Held previews, channels and gateways that send notices, in the workspace `w`."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from gateway.approvals.notices import TEMPO, Notifier, Tempo
from gateway.egress.client import open_egress
from gateway.egress.guard import Guard
from stores.redis.client import Store
from stores.redis.notices import Notices
from stores.sql.channels import Channel
from tests.support.gateways import LOOPBACK
from tests.support.target import Delivery

ALLOWING = Guard(networks=LOOPBACK)


def channel(url: str, name: str = "duty", *, escalation_only: bool = False) -> Channel:
    return Channel(f"c-{name}", "w", name, url, escalation_only, 1, "test")


@asynccontextmanager
async def notifier(
    store: Store,
    *channels: Channel,
    guard: Guard = ALLOWING,
    secrets: Sequence[bytes] = (),
    tempo: Tempo = TEMPO,
    public_url: str | None = None,
    channels_of: Callable[[str], Sequence[Channel] | None] | None = None,
) -> AsyncIterator[Notifier]:
    def due() -> Collection[str]:
        return ["w"]

    async with open_egress(guard, lambda workspace: secrets) as egress:
        made = Notifier(
            Notices(store.scripts),
            egress,
            channels_of or (lambda workspace: channels),
            due,
            tempo=tempo,
            public_url=public_url,
        )
        yield made
        await made.close()


async def turn(notifier: Notifier) -> None:
    """Send what is due, to its end."""
    await notifier.turn()
    await notifier.settle()


def types(deliveries: Sequence[Delivery]) -> list[str]:
    return [message(delivery)["type"] for delivery in deliveries]


def message(delivery: Delivery) -> dict[str, Any]:
    return dict(msgspec.json.decode(delivery.body))
