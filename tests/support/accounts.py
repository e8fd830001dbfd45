"""A workspace with one connection by OAuth, and a target that counts what arrives."""

import time
from collections.abc import Callable

from gateway.config.secret import Secret
from gateway.connections.credentials import connection_of
from gateway.connections.sending import Sender
from gateway.effects import Effect, origin_of
from gateway.egress.client import open_egress
from gateway.egress.guard import Guard
from gateway.outcomes import NotSent, Outcome
from stores.sql.connections import ConnectionRow
from tests.stores.sql.test_connections import ANN
from tests.support.credentials import Rows, credentials
from tests.support.gateways import LOOPBACK, unsigned
from tests.support.target import Target

ROW = ANN._replace(scopes="openid mail.send")


class Held:
    """Access tokens that are there, as `tokens` would have them."""

    def __init__(self) -> None:
        self.token: Secret | NotSent = Secret(b"t-1")
        self.asked: list[float] = []
        self.dropped: list[str] = []
        self.meanwhile: Callable[[], None] = lambda: None

    async def access_token(self, row: ConnectionRow, *, deadline: float) -> Secret | NotSent:
        self.asked.append(deadline)
        self.meanwhile()
        return self.token

    def drop(self, row: ConnectionRow) -> None:
        self.dropped.append(row.id)


class Office:
    """A workspace with one connection, and a target that counts what arrives."""

    def __init__(self, target: Target) -> None:
        self.target, self.tokens, self.rows = target, Held(), Rows()
        self.rows.by_workspace = {"default": [ROW], "other": []}
        origin = frozenset({origin_of(target.url) or "", "mail.example"})
        hosts = {"google": origin, "microsoft": origin}
        self.credentials = credentials(self.rows, tokens=self.tokens, hosts=hosts)

    def effect(self, row: ConnectionRow = ROW, url: str | None = None) -> Effect:
        return Effect(
            method="POST",
            url=url or self.target.url,
            headers={},
            body=b"x",
            summary="",
            credential=connection_of(row).credential("mail.send"),
        )

    async def send(self, effect: Effect, *, workspace: str = "default") -> Outcome:
        guard, deadline = Guard(networks=LOOPBACK), time.monotonic() + 5
        async with open_egress(guard, unsigned) as egress:
            sender = Sender(egress, self.credentials)
            return await sender.send(effect, workspace=workspace, run_id="r", deadline=deadline)
