"""The round trip against the OpenID provider of a third party: its strictness proves our client."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

import pytest

from gateway.connections import answers
from gateway.connections.answers import Declined, Grant
from gateway.connections.consent.flow import Back, OAuth, open_oauth
from gateway.connections.consent.handshake import NotConnected, Ticket
from gateway.connections.grants import unseal_kept
from gateway.connections.providers import Client
from gateway.egress.client import Egress, open_egress
from gateway.egress.guard import Guard
from gateway.outcomes import Answered
from gateway.transaction import Transactions
from stores.audit.chain import Chain
from stores.redis.client import Store
from stores.sql.connections import ConnectionRow
from stores.sql.database import Database
from tests.support import nanoidp
from tests.support.gateways import LOOPBACK, unsigned
from tests.support.oauth import SEALER, refusal, stored, token
from tests.support.services import AUDIT_KEY, CLI

TICKET = Ticket(
    workspace="default",
    provider="google",
    actions=("google.gmail.send",),
    scopes=("mail.send",),
    expected_account=None,
    principal=CLI.principal,
    key=None,
)


class Site(NamedTuple):
    """Eight replicas, and what they share."""

    client: Client
    egress: Egress
    database: Database
    replicas: list[OAuth]

    async def begin(self) -> tuple[str, dict[str, str]]:
        """Where the browser is sent, and its cookies."""
        start_url, _ = await self.replicas[0].authorize(TICKET)
        started = await self.replicas[1].start(start_url.rpartition("/")[2])
        return started.location, {started.cookie: started.value}

    async def connect(self) -> ConnectionRow:
        location, cookies = await self.begin()
        query = query_of(await nanoidp.consent(location))
        return await self.replicas[2].callback(Back(query, cookies, "127.0.0.1", "r"))

    async def ask(self, **fields: str) -> Grant | Declined:
        effect = answers.form(self.client, **fields)
        outcome = await self.egress.ask(effect, deadline=time.monotonic() + 10)
        return answers.read(outcome, self.client)

    async def refresh_token(self, row: ConnectionRow) -> str:
        return unseal_kept(SEALER, await stored(self.database, row)).token


def query_of(url: str) -> Mapping[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


@pytest.fixture
async def site(store: Store, database: Database) -> AsyncIterator[Site]:
    async def transactions() -> Transactions:
        return Transactions(database, Chain([AUDIT_KEY]))

    async with nanoidp.serving() as url, AsyncExitStack() as stack:
        egress = await stack.enter_async_context(open_egress(Guard(networks=LOOPBACK), unsigned))
        client = nanoidp.registered(url)
        replicas = [
            await stack.enter_async_context(
                open_oauth(
                    {"google": client},
                    store.scripts,
                    SEALER,
                    egress=egress,
                    find_transactions=transactions,
                    public_url="https://relay.example",
                )
            )
            for _ in range(8)
        ]
        yield Site(client, egress, database, replicas)


async def test_an_account_is_connected_and_refreshed(site: Site) -> None:
    """With PKCE, a nonce and rotation; eight replicas refresh once, and the next refresh works."""
    row = await site.connect()
    assert (row.account, row.state, "mail.send" in row.scopes) == ("ann@x.example", "active", True)
    first = await token(site.replicas[0].tokens, row)
    for version in (2, 3):
        await site.replicas[0].tokens.forget(row)
        came = await asyncio.gather(*(token(one.tokens, row) for one in site.replicas))
        assert len({*came}) == 1
        assert came[0] != first
        assert (await stored(site.database, row)).row.version == version


async def test_a_wrong_verifier_and_a_used_code_are_refused(site: Site) -> None:
    """By the provider: with the right verifier the same code works, once."""
    location, _ = await site.begin()
    query = query_of(await nanoidp.consent(location))
    fields = {"grant_type": "authorization_code", "redirect_uri": nanoidp.CALLBACK}
    wrong = await site.ask(**fields, code=query["code"], code_verifier="v" * 43)
    assert wrong == Declined("grant", "invalid_grant")
    location, cookies = await site.begin()
    query = query_of(await nanoidp.consent(location))
    back = Back(query, cookies, "127.0.0.1", "r")
    await site.replicas[3].callback(back)
    with pytest.raises(NotConnected, match="was used"):
        await site.replicas[4].callback(back)
    again = await site.ask(**fields, code=query["code"], code_verifier="v" * 43)
    assert again == Declined("grant", "invalid_grant")


async def test_a_refresh_token_that_was_rotated_is_refused(site: Site) -> None:
    """It is final, unless the row has a newer one."""
    row = await site.connect()
    old = await site.refresh_token(row)
    await site.replicas[0].tokens.forget(row)
    await token(site.replicas[0].tokens, row)
    assert await site.refresh_token(row) != old
    reused = await site.ask(grant_type="refresh_token", refresh_token=old)
    assert reused == Declined("grant", "invalid_grant")


async def test_a_revoked_grant_needs_its_owner(site: Site) -> None:
    row = await site.connect()
    # Unlike Google, it wants to know who revokes (RFC 7009, 2.1).
    fields = {"token": await site.refresh_token(row), "client_id": site.client.client_id}
    fields["client_secret"] = site.client.client_secret.reveal().decode()
    effect = answers.posted(site.client.facts.revoke or "", fields)
    done = await site.egress.ask(effect, deadline=time.monotonic() + 10)
    assert isinstance(done, Answered)
    assert done.accepted
    await site.replicas[0].tokens.forget(row)
    assert (await refusal(site.replicas[5].tokens, row)).reason == "connection_needs_reauth"
    assert (await stored(site.database, row)).row.state == "needs_reauth"
    again = await site.connect()
    assert (again.id, again.version, again.state) == (row.id, 2, "active")
