"""The keys of the issuer: where they come from, which count, and when they are read again."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from joserfc.jwk import OctKey

from gateway.access.issuer_keys import IssuerKeys, Paces
from gateway.egress.client import Egress, open_egress
from gateway.egress.guard import Guard
from gateway.outcomes import Answered, Outcome
from gateway.telemetry.background import in_background
from tests.support.gateways import LOOPBACK, unsigned, until
from tests.support.issuer import DISCOVERY, JWKS, Issuer, ec, issuing, public, rsa
from tests.support.target import hang, status

QUICK = Paces(refresh=timedelta(hours=1), apart=timedelta())
URL = "https://login.example"


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as opened:
        yield opened


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    async with open_egress(Guard(networks=LOOPBACK), unsigned) as opened:
        yield opened


def paths(issuer: Issuer) -> list[str]:
    return [delivery.line.split()[1] for delivery in issuer.deliveries]


async def test_they_are_found_by_discovery(issuer: Issuer, egress: Egress) -> None:
    keys = IssuerKeys(egress.fetch, issuer.url)
    assert not keys.known
    await keys.refresh()
    assert paths(issuer) == [DISCOVERY, JWKS]
    assert keys.find("first")
    assert keys.check().verdict == "ok"


async def test_a_url_of_the_keys_makes_discovery_needless(issuer: Issuer, egress: Egress) -> None:
    keys = IssuerKeys(egress.fetch, "app.example", jwks_url=issuer.url + JWKS)
    await keys.refresh()
    assert paths(issuer) == [JWKS]
    assert keys.known


def serving(documents: Mapping[str, Outcome | str]) -> IssuerKeys:
    """Those of an issuer with these documents, by their URLs."""

    async def fetch(url: str, *, deadline: float) -> Outcome:
        found = documents[url]
        if isinstance(found, str):
            return Answered(status_code=200, response=found, truncated=False)
        return found

    return IssuerKeys(fetch, URL)


def discovered(keys: Outcome | str, **more: Any) -> IssuerKeys:
    said = {"issuer": URL, "jwks_uri": "https://k.example/", **more}
    return serving({URL + DISCOVERY: json.dumps(said), "https://k.example/": keys})


def published(*jwks: Any) -> str:
    return json.dumps({"keys": jwks})


GOOD = public(rsa("first"))["keys"][0]
SECRET = {**OctKey.generate_key(256, {"kid": "secret"}).as_dict(private=True)}
UNUSABLE = [
    "",
    "[]",
    '{"keys": {}}',
    '{"keys": []}',
    "\ud800",
    published(SECRET),
    published({**GOOD, "use": "enc"}),
    published({**GOOD, "kid": None}),
    published({**GOOD, "kid": 7}),
    published({**GOOD, "n": "!"}),
    published({"kty": "AKP", "kid": "later"}),
    Answered(status_code=404, response=published(GOOD), truncated=False),
    Answered(status_code=302, response="", truncated=False),
    Answered(status_code=200, response=published(GOOD), truncated=True),
]


@pytest.mark.parametrize("document", UNUSABLE, ids=range(len(UNUSABLE)))
async def test_a_document_without_a_key_to_sign_with_is_refused(document: Outcome | str) -> None:
    """Symmetric keys are none: a reader of the document could sign."""
    keys = discovered(document)
    await keys.refresh()
    assert not keys.known
    check = keys.check()
    assert check.verdict == "warning"
    assert "only API keys sign in" in check.detail
    assert "k.example" not in check.detail


async def test_a_short_rsa_key_is_left_out() -> None:
    """And the others of its document count."""
    with pytest.warns(match="2048"):
        short = public(rsa("short", 1024))["keys"]
    keys = discovered(published(*short, GOOD, SECRET, {"kty": "x"}))
    await keys.refresh()
    assert keys.find("first")
    assert not keys.find("short")
    assert not keys.find("secret")


async def test_a_discovery_document_of_another_issuer_is_refused() -> None:
    """OpenID Connect Discovery 1.0, 4.3."""
    keys = discovered(published(GOOD), issuer="https://evil.example")
    await keys.refresh()
    assert not keys.known


async def test_the_guard_stands_before_the_issuer() -> None:
    """Its documents cannot lead a gateway into its own network."""
    async with open_egress(Guard(), unsigned) as guarded:
        keys = IssuerKeys(guarded.fetch, "http://127.0.0.1:9")
        await keys.refresh()
    assert not keys.known


async def test_a_failed_read_keeps_the_last_keys(issuer: Issuer, egress: Egress) -> None:
    keys = IssuerKeys(egress.fetch, issuer.url)
    await keys.refresh()
    issuer.answer = status(500)
    await keys.refresh()
    assert keys.find("first")
    assert (keys.check().verdict, "stay in force" in keys.check().detail) == ("warning", True)
    issuer.answer = issuer.documents
    await keys.refresh()
    assert keys.check().verdict == "ok"


async def test_an_unknown_key_has_them_read_again(issuer: Issuer, egress: Egress) -> None:
    """So that a rotation needs no restart; the old key goes with its document."""
    keys = IssuerKeys(egress.fetch, issuer.url, paces=QUICK)
    async with in_background(keys.watch()):
        await until(lambda: _known(keys))
        issuer.published = [ec("second")]

        async def rotated() -> bool:
            return keys.find("second") is not None

        await until(rotated)
    assert not keys.find("first")


async def test_unknown_keys_do_not_hurry_the_reads(issuer: Issuer, egress: Egress) -> None:
    """A thousand of them make one read at most until the pause is over."""
    paces = Paces(refresh=timedelta(), apart=timedelta(hours=1))
    keys = IssuerKeys(egress.fetch, issuer.url, paces=paces)
    async with in_background(keys.watch()):
        await until(lambda: _known(keys))
        for number in range(1000):
            keys.find(f"unknown-{number}")
            await asyncio.sleep(0)
    assert paths(issuer) == [DISCOVERY, JWKS]


async def test_an_issuer_that_comes_late_is_read(issuer: Issuer, egress: Egress) -> None:
    issuer.answer = status(503)
    keys = IssuerKeys(egress.fetch, issuer.url, paces=QUICK)
    async with in_background(keys.watch()):

        async def failed() -> bool:
            return len(issuer.deliveries) > 2

        await until(failed)
        assert not keys.known
        issuer.answer = issuer.documents
        await until(lambda: _known(keys))


async def test_an_issuer_that_hangs_holds_nothing_up(issuer: Issuer, egress: Egress) -> None:
    """A look-up takes no time while the document is waited for."""
    issuer.answer = hang
    keys = IssuerKeys(egress.fetch, issuer.url)
    async with in_background(keys.watch()):
        await issuer.arrived.wait()
        started = time.perf_counter()
        for _ in range(1000):
            assert keys.find("first") is None
        assert time.perf_counter() - started < 0.1


async def _known(keys: IssuerKeys) -> bool:
    return keys.known
