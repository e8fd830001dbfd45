"""Which connection a send gets, that it gets only one, and that the guard checks it."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from yarl import URL

from gateway.egress.client import Egress, open_egress
from gateway.egress.connector import Connector
from gateway.egress.guard import Guard, TargetRefusal
from gateway.outcomes import Answered, NoResponse, NotSent, TargetRefused
from tests.egress.test_client import SHORT, effect, egress_to, raw, send
from tests.support.gateways import LOOPBACK, unsigned
from tests.support.target import Target, listening, status

PUBLIC = "93.184.216.34"
close = raw(b"")


class Names:
    """Answers of the machine's resolver, by name. An unlisted name hangs."""

    def __init__(self) -> None:
        self.answers: dict[str, list[str] | OSError] = {}
        self.asked: list[str] = []

    async def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked.append(host)
        answer = self.answers.get(host)
        if answer is None:
            await asyncio.get_running_loop().create_future()
        if isinstance(answer, OSError):
            raise answer
        return [self._info(address, port) for address in answer or ()]

    @staticmethod
    def _info(address: str, port: int) -> Any:
        if ":" in address:
            return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
        return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))


class OpenUrlGuard(Guard):
    """Accepts every URL, so that only the check of the connector is left."""

    def check_url(self, text: str) -> URL:
        return URL(text, encoded=True)


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    scripted = Names()
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", scripted.getaddrinfo)
    return scripted


@pytest.fixture
async def strict() -> AsyncIterator[Egress]:
    async with open_egress(Guard(), unsigned) as opened:
        yield opened


def named(target: Target, host: str) -> str:
    return target.url.replace("127.0.0.1", host)


@pytest.mark.parametrize(
    "answers",
    [["127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], [PUBLIC, "127.0.0.1"], ["127.0.0.1", PUBLIC]],
    ids=" ".join,
)
async def test_a_name_with_one_private_address_is_forbidden(
    strict: Egress, names: Names, target: Target, answers: list[str]
) -> None:
    """One refused address refuses the name, and no address is dialled."""
    names.answers["pub.example.org"] = answers
    wanted = effect(named(target, "pub.example.org"))
    assert isinstance(await strict.inspect(wanted, "w"), TargetRefused)
    assert isinstance(await send(strict, wanted), TargetRefused)
    assert target.connections == 0


async def test_previews_take_a_name_for_accepted_for_a_while(
    strict: Egress, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five seconds, and on the port that was looked at; a refused name is resolved each time."""
    now = 100.0
    monkeypatch.setattr("gateway.egress.connector.monotonic", lambda: now)
    names.answers.update({"pub.example.org": [PUBLIC], "in.example.org": ["10.0.0.1"]})
    public, private = effect("https://pub.example.org/"), effect("https://in.example.org/")
    assert not strict.known(public)
    for _ in range(2):
        assert not isinstance(await strict.inspect(public, "w"), TargetRefused)
        assert isinstance(await strict.inspect(private, "w"), TargetRefused)
    assert names.asked == ["pub.example.org", "in.example.org", "in.example.org"]
    assert strict.known(public)
    assert not strict.known(private)
    assert not strict.known(effect("http://pub.example.org/"))
    now += 5
    assert not strict.known(public)


async def test_an_address_needs_no_resolving(strict: Egress) -> None:
    assert strict.known(effect(f"https://{PUBLIC}/"))
    assert not strict.known(effect("https://127.0.0.1/"))


async def test_a_name_that_turned_private_is_forbidden(names: Names, target: Target) -> None:
    """DNS rebinding: a name that is private at the send is not dialled."""
    wanted = effect(named(target, "pub.example.org"))
    port = urlsplit(target.url).port or 0
    async with open_egress(Guard(ports=[port]), unsigned) as strict:
        names.answers["pub.example.org"] = [PUBLIC]
        assert not isinstance(await strict.inspect(wanted, "w"), TargetRefused)
        names.answers["pub.example.org"] = ["127.0.0.1"]
        assert isinstance(await send(strict, wanted), TargetRefused)
    assert target.connections == 0


async def test_a_name_is_resolved_for_each_connection(names: Names, target: Target) -> None:
    """Nothing is cached, so a name that turned private is noticed."""
    target.answer = status(200, b"OK", "Connection: close")
    wanted = effect(named(target, "pub.example.org"))
    async with egress_to() as egress:
        names.answers["pub.example.org"] = ["127.0.0.1"]
        assert isinstance(await send(egress, wanted), Answered)
        names.answers["pub.example.org"] = ["10.0.0.1"]
        assert isinstance(await send(egress, wanted), TargetRefused)
    assert names.asked == ["pub.example.org"] * 2
    assert target.connections == 1


async def test_the_checked_address_is_dialled(names: Names, target: Target) -> None:
    """A name is resolved once a connection, so its answer cannot change between check and dial."""
    names.answers["pub.example.org"] = ["127.0.0.1"]
    async with egress_to() as egress:
        assert isinstance(await send(egress, effect(named(target, "pub.example.org"))), Answered)
    assert names.asked == ["pub.example.org"]
    assert target.deliveries[0].header("host") == named(target, "pub.example.org").split("/")[2]


async def test_a_name_without_an_address_is_not_sent(strict: Egress, names: Names) -> None:
    """The preview warns, and the send is not sent."""
    names.answers["pub.example.org"] = socket.gaierror(socket.EAI_NONAME, "no such name")
    wanted = effect("https://pub.example.org/")
    warnings = await strict.inspect(wanted, "w")
    assert isinstance(warnings, tuple)
    assert "The name pub.example.org does not resolve at the moment." in warnings
    assert await send(strict, wanted) == NotSent("The name of the target does not resolve.")


async def test_a_malformed_name_is_not_sent() -> None:
    """The machine's resolver refuses to look it up, so it does not resolve."""
    async with open_egress(OpenUrlGuard(), unsigned) as egress:
        wanted = effect("http://pub.example.org../")
        assert isinstance(await send(egress, wanted), NotSent)
        assert await egress.inspect(wanted, "w")


async def test_a_resolver_that_hangs_is_given_up(strict: Egress, names: Names) -> None:
    """The deadline covers resolving; nothing was sent."""
    outcome = await send(strict, effect("https://pub.example.org/"), within=SHORT)
    assert outcome == NotSent("The target did not accept a connection in time.")
    assert names.asked == ["pub.example.org"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_the_socket_is_checked_too(target: Target, host: str) -> None:
    """If a URL slipped through, its address is checked when the socket is made."""
    async with open_egress(OpenUrlGuard(), unsigned) as egress:
        outcome = await send(egress, effect(named(target, host)))
    assert outcome == TargetRefused("The target is not a public address.")
    assert target.connections == 0


async def test_an_approval_is_for_one_attempt(target: Target) -> None:
    """An address that an allowed name resolved to stays refused as a literal."""
    guard = OpenUrlGuard(hosts=["localhost"])
    async with open_egress(guard, unsigned) as egress:
        target.answer = status(200, b"OK", "Connection: close")
        assert isinstance(await send(egress, effect(named(target, "localhost"))), Answered)
        assert isinstance(await send(egress, effect(target.url)), TargetRefused)
    assert target.connections == 1


async def test_the_resolver_checks_every_answer() -> None:
    """The machine's own `localhost` is refused, and allowed as an exception."""
    tls = ssl.create_default_context()
    with pytest.raises(TargetRefusal):
        await Connector(Guard(), tls).resolve("localhost", 80)
    network = [*LOOPBACK, ip_network("::1")]
    answers = await Connector(Guard(networks=network), tls).resolve("localhost", 80)
    assert {answer[4][:2] for answer in answers} <= {("127.0.0.1", 80), ("::1", 80)}


async def test_the_connected_address_is_checked(target: Target) -> None:
    """Linux connects 0.0.0.0 to the machine itself, which no exception allows here."""
    async with open_egress(Guard(networks=[ip_network("0.0.0.0/32")]), unsigned) as egress:
        outcome = await send(egress, effect(named(target, "0.0.0.0")))
    assert outcome == TargetRefused("The target is not a public address.")
    assert not target.deliveries


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST", "PATCH"])
async def test_a_send_that_meets_a_closing_connection_is_unknown(
    target: Target, method: str
) -> None:
    """The target read the request and closed the kept connection: nothing is sent again."""
    async with egress_to() as egress:
        await send(egress, effect(target.url))
        target.answer = close
        outcome = await send(egress, effect(target.url, method))
    assert outcome == NoResponse("The target closed the connection without an answer.")
    assert [delivery.line.split()[0] for delivery in target.deliveries] == ["POST", method]
    assert target.connections == 1


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_proxies_of_the_environment_are_not_used(
    target: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    """Nor are passwords from ~/.netrc: the previewed request is sent, and only to its target."""
    (tmp_path / "netrc").write_text("default login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with listening() as proxy, egress_to(hosts=("localhost",)) as egress:
        monkeypatch.setenv(variable, proxy.url.removesuffix("/hook"))
        await send(egress, effect(named(target, "localhost")))
        assert proxy.connections == 0
    assert "authorization" not in {name.lower() for name, _ in target.deliveries[0].headers}


async def test_no_cookie_is_kept(target: Target) -> None:
    """A cookie from one response is not sent with the next request."""
    target.answer = status(200, b"OK", "Set-Cookie: a=b; Path=/")
    async with egress_to(hosts=("localhost",)) as egress:
        for _ in range(2):
            await send(egress, effect(named(target, "localhost")))
    assert "cookie" not in {name.lower() for name, _ in target.deliveries[1].headers}
