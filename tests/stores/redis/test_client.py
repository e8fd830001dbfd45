"""The store opens by URL, and checks the server behind it."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import time

import pytest
import trustme

from stores.redis.client import CONNECTIONS, Store, open_store
from stores.redis.previews import NoPreview, Previews
from stores.redis.scripts import RedisUnavailable
from stores.redis.server.health import Check
from tests.support.clocks import timed
from tests.support.proxy import Proxy, proxy
from tests.support.valkey import Valkey

NAMES = ("store", "writes", "subscription", "eviction", "persistence", "clock", "memory")
ALL_OK = dict.fromkeys(NAMES, "ok")


@pytest.fixture
def server(own_valkey: Valkey) -> Valkey:
    return own_valkey


@pytest.fixture
async def between(server: Valkey) -> AsyncIterator[Proxy]:
    """The port of a proxy in front of the server."""
    async with proxy(server.socket) as opened:
        yield opened


@pytest.fixture
async def store(server: Valkey, tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(server.url, tmp_path) as opened:
        yield opened


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def verdicts(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.verdict for check in checks}


async def test_a_unix_url_opens_the_store(store: Store, tmp_path: Path) -> None:
    """The server of the URL is used, and no embedded one starts."""
    assert isinstance(await Previews(store.scripts).find("w", "never"), NoPreview)
    assert not files(tmp_path)


@pytest.mark.parametrize("password", ["secret", "p@ss:/w%rd#?"])
async def test_user_and_password_come_from_the_url(
    server: Valkey, between: Proxy, tmp_path: Path, password: str
) -> None:
    """Calls run as the user of the URL; special characters of the password are percent-encoded
    there.
    """
    with server.client() as admin:
        admin.acl_setuser(
            "relay",
            enabled=True,
            passwords=[f"+{password}"],
            commands=["+@all"],
            keys=["*"],
            channels=["*"],
        )
    quoted = "".join(f"%{ord(letter):02X}" for letter in password)
    url = f"redis://relay:{quoted}@127.0.0.1:{between.port}/0"
    async with open_store(url, tmp_path) as store:
        assert await store.client.acl_whoami() == "relay"
        assert isinstance(await Previews(store.scripts).find("w", "never"), NoPreview)
        async with store.run_endings.wait_for("w", "run-1") as ended:
            assert not ended.is_set()


@pytest.mark.parametrize("part", ["", ":wrong@", "relay:secret@"])
async def test_a_wrong_password_is_redis_unavailable(
    server: Valkey, between: Proxy, tmp_path: Path, part: str
) -> None:
    """A server that refuses the login counts as unavailable."""
    with server.client() as admin:
        admin.config_set("requirepass", "secret")
    async with open_store(f"redis://:secret@127.0.0.1:{between.port}", tmp_path) as store:
        assert isinstance(await Previews(store.scripts).find("w", "never"), NoPreview)
    async with open_store(f"redis://{part}127.0.0.1:{between.port}", tmp_path) as store:
        with pytest.raises(RedisUnavailable):
            await Previews(store.scripts).find("w", "never")
        assert verdicts(await store.check(strict=False)) == {"store": "failed"}


async def test_rediss_is_tls_and_checks_the_certificate(server: Valkey, tmp_path: Path) -> None:
    """A certificate of the authority in the URL is trusted; one of another authority is not."""
    authority, foreign = trustme.CA(), trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "ours.pem")
    foreign.cert_pem.write_to_path(tmp_path / "other.pem")

    async with proxy(server.socket, tls=tls) as between:
        url = f"rediss://127.0.0.1:{between.port}?ssl_ca_certs={tmp_path}"
        async with open_store(f"{url}/ours.pem", tmp_path) as store:
            assert isinstance(await Previews(store.scripts).find("w", "never"), NoPreview)
        async with open_store(f"{url}/other.pem", tmp_path) as store:
            with pytest.raises(RedisUnavailable):
                await Previews(store.scripts).find("w", "never")


@pytest.mark.parametrize("url", ["http://127.0.0.1:6379", "127.0.0.1:6379", "", "memcached://h"])
async def test_a_url_of_another_kind_is_refused(tmp_path: Path, url: str) -> None:
    """ValueError at once, and the embedded server does not start instead."""
    with pytest.raises(ValueError, match="scheme"):
        async with open_store(url, tmp_path):
            pass
    assert not files(tmp_path)


async def test_the_store_opens_while_its_server_is_away(server: Valkey, tmp_path: Path) -> None:
    """Calls raise RedisUnavailable until the server starts, then they are answered."""
    server.stop()
    async with open_store(server.url, tmp_path) as store:
        with pytest.raises(RedisUnavailable):
            await Previews(store.scripts).find("w", "never")
        server.start()
        assert isinstance(await Previews(store.scripts).find("w", "never"), NoPreview)


async def test_calls_wait_for_a_busy_pool(store: Store, server: Valkey) -> None:
    """300 concurrent commands share sixteen connections; none is refused."""
    await asyncio.gather(*(store.client.ping() for _ in range(300)))
    with server.client() as client:
        others = [it for it in client.client_list() if it["cmd"] == "ping"]
    assert len(others) == CONNECTIONS == 16


async def test_a_well_configured_server_passes(store: Store) -> None:
    """Every check is named and passes, in production too."""
    checks = await store.check(strict=True)
    assert verdicts(checks) == ALL_OK
    assert all(check.detail for check in checks)


@pytest.mark.parametrize(("strict", "verdict"), [(True, "failed"), (False, "warning")])
@pytest.mark.parametrize(
    ("setting", "value", "name", "detail"),
    [
        ("maxmemory-policy", "allkeys-lru", "eviction", "allkeys-lru, not noeviction"),
        ("maxmemory-policy", "volatile-ttl", "eviction", "volatile-ttl, not noeviction"),
        ("appendonly", "no", "persistence", "the append-only file is off"),
    ],
)
async def test_a_wrong_configuration_is_reported(
    store: Store, strict: bool, verdict: str, setting: str, value: str, name: str, detail: str
) -> None:
    """A setting that may lose records fails in production and warns in development; other checks
    pass.
    """
    await store.client.config_set(setting, value)
    checks = await store.check(strict=strict)
    assert verdicts(checks) == {**ALL_OK, name: verdict}
    [bad] = [check for check in checks if check.verdict != "ok"]
    assert detail in bad.detail


def clock_off_by(seconds: int) -> Callable[[bytes], bytes]:
    """Change the replies to TIME, like a server whose clock is wrong."""

    def alter(reply: bytes) -> bytes:
        wrong = str(int(time()) + seconds).encode()
        return re.sub(rb"^\*2\r\n\$10\r\n\d{10}", b"*2\r\n$10\r\n" + wrong, reply)

    return alter


@pytest.mark.parametrize(
    ("seconds", "holds"), [(-31, False), (-28, True), (0, True), (30, True), (33, False)]
)
async def test_clocks_more_than_thirty_seconds_apart_are_reported(
    between: Proxy, tmp_path: Path, seconds: int, holds: bool
) -> None:
    """Whichever clock is ahead: above 30 s production fails and development warns."""
    between.alter = clock_off_by(seconds)
    async with open_store(between.url, tmp_path) as store:
        for strict, verdict in ((True, "failed"), (False, "warning")):
            checks = await store.check(strict=strict)
            assert verdicts(checks) == {**ALL_OK, "clock": "ok" if holds else verdict}


@pytest.mark.parametrize(("strict", "verdict"), [(True, "failed"), (False, "warning")])
async def test_a_clock_that_is_set_back_is_reported(
    between: Proxy, tmp_path: Path, strict: bool, verdict: str
) -> None:
    """Also by less than the clocks may differ."""
    async with open_store(between.url, tmp_path) as store:
        assert verdicts(await store.check(strict=strict)) == ALL_OK
        between.alter = clock_off_by(-20)
        checks = await store.check(strict=strict)
        assert verdicts(checks) == {**ALL_OK, "clock": verdict}
        [bad] = [check for check in checks if check.verdict != "ok"]
        assert re.search(r"jumped by -(19|20|21) s", bad.detail)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("away", ["stop", "pause"])
async def test_a_server_that_is_away_fails_the_check(
    store: Store, server: Valkey, away: str, strict: bool
) -> None:
    """In under 2 s, everywhere. Once it is back, every check passes again."""
    getattr(server, away)()
    checks, seconds = await timed(store.check(strict=strict))
    assert verdicts(checks) == {"store": "failed"}
    assert seconds < 2
    server.resume() if away == "pause" else server.start()
    assert verdicts(await store.check(strict=strict)) == ALL_OK
