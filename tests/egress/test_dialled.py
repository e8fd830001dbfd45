"""300 URLs and 40 resolver scripts: a spy below the guard sees no connect to a refused address, and
sees one for each target that is allowed.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest
from yarl import URL

from gateway.egress.addresses import IPAddress, is_public
from gateway.egress.client import Egress, open_egress
from gateway.egress.guard import Guard
from gateway.outcomes import NotSent, TargetRefused
from tests.egress.test_client import SHORT, effect
from tests.support.dialled import Answer, Resolver, spied
from tests.support.gateways import unsigned
from tests.support.hostile_urls import INNER, PUBLIC_V4, PUBLIC_V6, allowed, refused

REFUSED, ALLOWED = list(dict.fromkeys(refused())), list(dict.fromkeys(allowed()))
NAME = "pub.example.org"
GONE, AGAIN = socket.gaierror(socket.EAI_NONAME), socket.gaierror(socket.EAI_AGAIN)
PRIVATE_V6 = (
    "::1 fd00::1 fe80::1 ::ffff:10.0.0.1 64:ff9b::10.0.0.1 2606:2800::5efe:10.0.0.1".split()
)

# The answers in turn: of the preview, of the send, of a later question.
HOSTILE: list[Sequence[Answer]] = [
    *([[PUBLIC_V4], [address]] for address in (*INNER, *PRIVATE_V6)),  # rebinding
    *([[PUBLIC_V4, address]] for address in ("127.0.0.1", "10.0.0.1", "::1")),  # mixed
    *([[address, PUBLIC_V6]] for address in ("127.0.0.1", "10.0.0.1", "::1")),
    [[PUBLIC_V4], [PUBLIC_V4, PUBLIC_V6, "10.0.0.1"], [PUBLIC_V4]],
    [[*(f"93.184.216.{n}" for n in range(100)), "169.254.169.254"]],
    [["127.0.0.1"], [PUBLIC_V4]],  # TTL 0
    [["127.0.0.1"], [PUBLIC_V4], ["127.0.0.1"]],
    [AGAIN, ["127.0.0.1"]],
    [[], ["10.0.0.1"]],
    [None, ["10.0.0.1"]],
]
SILENT: list[Sequence[Answer]] = [
    [GONE], [AGAIN], [[]], [None], [[PUBLIC_V4], GONE], [[PUBLIC_V4], []], [[PUBLIC_V4], None],
]  # fmt: skip
HONEST: list[Sequence[Answer]] = [
    [[PUBLIC_V4]], [[PUBLIC_V6]], [[PUBLIC_V4, PUBLIC_V6]], [[PUBLIC_V6, PUBLIC_V4]],
    [[PUBLIC_V4, PUBLIC_V4]], [[PUBLIC_V4], ["93.184.216.35"]], [GONE, [PUBLIC_V4]],
    [[], [PUBLIC_V4]], [["172.15.255.255"]], [["2606:2800::93.184.216.34"]],
    [["2606:2800::5efe:93.184.216.34"]],
]  # fmt: skip


class NoGuard(Guard):
    """The negative control."""

    def check_url(self, text: str) -> URL:
        return URL(text, encoded=True)

    def check_address(self, address: IPAddress, *, port: int, host: str = "") -> None:
        """Allow it."""


@asynccontextmanager
async def egress_with(
    resolver: Resolver, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Egress]:
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolver.getaddrinfo)
    async with open_egress(guard, unsigned) as egress:
        yield egress


async def attempt(egress: Egress, url: str, *, within: float = 5.0) -> tuple[list[str], bool]:
    """The addresses that were dialled, and whether preview or send refused the target."""
    wanted = effect(url)
    with spied() as connects:
        async with asyncio.timeout(within):
            verdict = await _inspect(egress, url)
        assert connects == [], "a preview sends no packet to the target"
        outcome = await egress.send(
            wanted, workspace="w", run_id="r", deadline=time.monotonic() + within
        )
    assert isinstance(outcome, NotSent | TargetRefused)
    return connects, isinstance(verdict, TargetRefused) or isinstance(outcome, TargetRefused)


async def _inspect(egress: Egress, url: str) -> object:
    return await egress.inspect(effect(url), "w")


def test_there_are_enough_of_them() -> None:
    """300 URLs, each once, and 40 scripts."""
    urls = [*REFUSED, *ALLOWED]
    assert len(urls) == len(set(urls)) >= 300
    assert len(HOSTILE) + len(SILENT) + len(HONEST) >= 40


async def test_no_refused_url_is_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The preview and the send refuse it, although its name resolves to a public address."""
    async with egress_with(
        Resolver({}, [PUBLIC_V4]), Guard(https_only=True), monkeypatch
    ) as egress:
        for url in REFUSED:
            assert await attempt(egress, url) == ([], True), url
            assert isinstance(await _inspect(egress, url), TargetRefused), url


async def test_each_allowed_url_is_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing refuses it, and its own address is dialled."""
    async with egress_with(
        Resolver({}, [PUBLIC_V4]), Guard(https_only=True), monkeypatch
    ) as egress:
        for url in ALLOWED:
            connects, was_refused = await attempt(egress, url)
            host = URL(url).raw_host or ""
            literal = host.strip("[]") if ":" in host or host[0].isdigit() else PUBLIC_V4
            assert ({*map(ip_address, connects)}, was_refused) == ({ip_address(literal)}, False), (
                url
            )


@pytest.mark.parametrize("script", HOSTILE, ids=str)
async def test_no_hostile_resolver_leads_to_a_connect(
    monkeypatch: pytest.MonkeyPatch, script: Sequence[Answer]
) -> None:
    """Whatever the name resolved to before and afterwards, a refused address is not dialled."""
    patience = 1.0 if None not in script else 4.0
    async with egress_with(Resolver({NAME: script}), Guard(), monkeypatch) as egress:
        connects, was_refused = await attempt(egress, f"https://{NAME}/", within=patience)
    assert was_refused
    assert all(is_public(ip_address(address)) for address in connects)


@pytest.mark.parametrize("script", SILENT, ids=str)
async def test_a_resolver_without_an_answer_leads_to_nothing(
    monkeypatch: pytest.MonkeyPatch, script: Sequence[Answer]
) -> None:
    """An empty, failing or slow resolver is no refusal, and nothing is dialled."""
    patience = SHORT if script[0] is not None else 4.0
    async with egress_with(Resolver({NAME: script}), Guard(), monkeypatch) as egress:
        assert await attempt(egress, f"https://{NAME}/", within=patience) == ([], False)


@pytest.mark.parametrize("script", HONEST, ids=str)
async def test_an_honest_resolver_leads_to_its_answer(
    monkeypatch: pytest.MonkeyPatch, script: Sequence[Answer]
) -> None:
    """What the name resolves to at the send is dialled, and nothing else."""
    async with egress_with(Resolver({NAME: script}), Guard(), monkeypatch) as egress:
        connects, was_refused = await attempt(egress, f"https://{NAME}/")
    assert not was_refused
    assert connects
    assert isinstance(script[-1], list)
    assert set(connects) <= set(script[-1])


async def test_without_the_guard_the_spy_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: the same harness dials refused addresses, by URL and by script."""
    async with egress_with(Resolver({}, [PUBLIC_V4]), NoGuard(), monkeypatch) as egress:
        assert (await attempt(egress, "https://127.0.0.1/")) == (["127.0.0.1"], False)
        assert (await attempt(egress, "https://[::ffff:10.0.0.1]/"))[0] == ["::ffff:10.0.0.1"]
    for script in HOSTILE[:13]:
        async with egress_with(Resolver({NAME: script}), NoGuard(), monkeypatch) as egress:
            assert await attempt(egress, f"https://{NAME}/") == (script[1], False)
