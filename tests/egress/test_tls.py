"""The target proves its identity before anything is sent."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme

from gateway.egress.client import open_egress
from gateway.egress.guard import Guard
from gateway.outcomes import Answered, NotSent
from tests.egress.test_client import SHORT, effect, egress_to, send
from tests.support.gateways import LOOPBACK
from tests.support.target import Target, hang, listening
from tests.support.tcp import tcp_server

TLS_FAILED = NotSent("TLS with the target failed: its certificate or its protocol.")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@asynccontextmanager
async def tls_target(authority: trustme.CA, *names: str) -> AsyncIterator[Target]:
    """A target with a certificate for these names. It counts a connection once it is encrypted."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(server_side)
    async with listening(server_side) as target:
        yield target


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_a_trusted_target_gets_the_request(authority: trustme.CA) -> None:
    """The certificate proves an address and a name; the name is sent as SNI and Host."""
    async with (
        tls_target(authority, "127.0.0.1", "localhost") as target,
        egress_to(hosts=("localhost",), tls=trusting(authority)) as egress,
    ):
        for url in (target.url, target.url.replace("127.0.0.1", "localhost")):
            assert isinstance(await send(egress, effect(url)), Answered)
            assert target.deliveries[-1].header("host") == url.split("/")[2]


async def test_an_unknown_authority_is_not_trusted(authority: trustme.CA) -> None:
    """By default the system's authorities decide. No byte of the request is sent."""
    async with tls_target(authority, "127.0.0.1") as target, egress_to() as egress:
        assert await send(egress, effect(target.url)) == TLS_FAILED
        assert not target.deliveries


async def test_a_certificate_of_another_name_is_not_trusted(authority: trustme.CA) -> None:
    """Its authority is trusted, but its name is wrong."""
    async with (
        tls_target(authority, "other.example.org") as target,
        egress_to(hosts=("localhost",), tls=trusting(authority)) as egress,
    ):
        for url in (target.url, target.url.replace("127.0.0.1", "localhost")):
            assert await send(egress, effect(url)) == TLS_FAILED
        assert not target.deliveries


async def test_a_connection_of_one_name_is_not_used_for_another(authority: trustme.CA) -> None:
    """A proof for `localhost` is no proof for 127.0.0.1 at the same address and port."""
    async with (
        tls_target(authority, "localhost") as target,
        egress_to(hosts=("localhost",), tls=trusting(authority)) as egress,
    ):
        by_name = effect(target.url.replace("127.0.0.1", "localhost"))
        assert isinstance(await send(egress, by_name), Answered)
        assert await send(egress, effect(target.url)) == TLS_FAILED
        assert len(target.deliveries) == 1


async def test_a_target_without_tls_gets_nothing(target: Target) -> None:
    """An https request to a port that speaks http is never sent in clear text."""
    async with egress_to() as egress:
        outcome = await send(egress, effect(target.url.replace("http", "https")), within=SHORT)
    assert isinstance(outcome, NotSent)
    assert not target.deliveries


async def test_a_handshake_that_hangs_is_not_sent() -> None:
    """The deadline covers TLS, and the request was never written."""

    async with tcp_server(hang) as port, egress_to() as egress:
        outcome = await send(egress, effect(f"https://127.0.0.1:{port}/"), within=SHORT)
    assert outcome == NotSent("The target did not accept a connection in time.")


@pytest.mark.parametrize("secrets", [0, 1])
async def test_a_preview_warns_of_its_target(secrets: int) -> None:
    """It warns of http and of a missing secret. No packet goes to the target."""
    signed = ["The request will not be signed: there is no signing secret."] * (1 - secrets)
    clear = "The request is not encrypted: the URL is http."
    async with listening() as target:
        keys = [b"key"] * secrets
        async with open_egress(Guard(networks=LOOPBACK), lambda workspace: keys) as egress:
            assert await egress.inspect(effect(target.url), "w") == (clear, *signed)
            secure = effect(target.url.replace("http", "https"))
            assert await egress.inspect(secure, "w") == (*signed,)
        assert target.connections == 0
