"""A request without a genuine key costs no look-up, and its timing reveals nothing."""

import re
import shutil
from collections.abc import AsyncIterator
from hashlib import sha1
from pathlib import Path
from statistics import median
from time import perf_counter_ns

import pytest
from starlette.requests import Request

from gateway.access import api_keys
from gateway.access.admission import Admission
from gateway.config.secret import Secret
from gateway.problems import Unauthenticated
from stores.redis.scripts import SOURCES
from stores.sql.database import Database, open_database
from tests.support.admissions import admission
from tests.support.fleet import Site
from tests.support.gateways import gateway
from tests.support.services import AUDIT_KEY, PEPPER, key_cache, services

# Scripts that a gateway calls by itself, without any request.
OWN_SCRIPTS = {"collect", "inspect", "probe", "record"}
# What readiness asks every ten seconds, and what opens a connection.
OWN_COMMANDS = {b"HELLO", b"CLIENT", b"EVALSHA", b"INFO", b"TIME", b"PSUBSCRIBE", b"PUNSUBSCRIBE"}
TRIED = 100
COMPARED = 2000


def junk(secret: str) -> list[dict[str, str]]:
    """A key with one changed character, an unknown one, none, and text that is no key."""
    other = "A" if secret[-1] != "A" else "B"
    unknown = api_keys.make(live=True).text
    given = [
        f"Bearer {secret[:-1]}{other}",
        f"Bearer {unknown}",
        f"Basic {secret}",
        secret,
        "Bearer x",
        "",
    ]
    return [{"Authorization": one} for one in given] + [{}]


def scripts_in(requests: list[bytes]) -> list[str]:
    """The names of the scripts that were called."""
    names = {
        sha1(source.encode(), usedforsecurity=False).hexdigest(): name
        for name, source in SOURCES.items()
    }
    called = re.findall(rb"EVALSHA\r\n\$40\r\n([0-9a-f]{40})", b"".join(requests))
    return [names[digest.decode()] for digest in called]


async def test_wrong_keys_are_refused_without_a_look_up(shared_site: Site) -> None:
    """Redis and the database get only what they get anyhow. As a control, the calls of a genuine
    key and the statements of creating one are seen.
    """
    site, secret = shared_site, (await shared_site.key()).secret
    async with site.redis_line() as redis, site.database_line() as database:
        settings = {
            "data_dir": site.folder,
            "database_url": Secret(site.through(database).encode()),
            "key_peppers": (Secret(PEPPER),),
            "audit_keys": (Secret(AUDIT_KEY),),
        }
        async with gateway(redis.url, **settings) as relay:
            genuine = {"Authorization": f"Bearer {secret}"}
            await relay.get("/runs/some-run", headers=genuine)
            assert "inspect" in scripts_in(redis.asked)
            del redis.asked[:], database.asked[:]
            for headers in (tried := junk(secret) * TRIED):
                assert (await relay.get("/runs/some-run", headers=headers)).status_code == 401
            commands = re.findall(rb"\*\d+\r\n\$\d+\r\n([A-Z]+)\r\n", b"".join(redis.asked))
            assert set(commands) <= OWN_COMMANDS
            assert set(scripts_in(redis.asked)) <= OWN_SCRIPTS
            assert b"api_keys" not in b"".join(database.asked)
            # These grow with time, not with requests: most requests cause none.
            assert len(commands) + len(database.asked) < len(tried) / 2
            async with open_database(site.through(database), site.folder) as opened:
                await services(opened).key("another")
            assert b"api_keys" in b"".join(database.asked)


@pytest.fixture
async def database(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    shutil.copy(migrated_file, tmp_path / "relay.db")
    async with open_database(None, tmp_path) as opened:
        yield opened


def timed(door: Admission, text: str) -> int:
    """How many nanoseconds until the key is refused."""
    scope = {
        "type": "http",
        "headers": [(b"authorization", f"Bearer {text}".encode())],
        "client": ("127.0.0.1", 1),
        "state": {"request_id": "r-1"},
    }
    request = Request(scope)
    began = perf_counter_ns()
    try:
        door.admit(request, "runs:read")
    except Unauthenticated:
        return perf_counter_ns() - began
    pytest.fail("it was let in")


def sealed(start: str) -> str:
    return start + api_keys.checksum(start)


async def test_unknown_and_wrong_keys_take_the_same_time(database: Database) -> None:
    """An unknown id and a wrong secret: timing does not reveal which ids exist. The medians differ
    by less than one comparison, which is what could be left out.
    """
    new_key, known = await services(database).key(), key_cache(database)
    await known.refresh()
    door = admission(known, lambda: [PEPPER])
    id_at, secret_at = len(api_keys.LIVE), len(api_keys.LIVE) + api_keys.ID
    body = new_key.secret[: -api_keys.CHECKSUM]
    unknown = sealed(body[:id_at] + "0" * api_keys.ID + body[secret_at:])
    wrong = sealed(body[:secret_at] + "0" * api_keys.SECRET)
    pairs = [(timed(door, unknown), timed(door, wrong)) for _ in range(COMPARED)]
    of_unknown, of_wrong = (median(times) for times in zip(*pairs, strict=True))
    assert 0.75 < of_unknown / of_wrong < 1.25
    assert abs(of_unknown - of_wrong) < comparison()


def comparison() -> float:
    """How many nanoseconds the comparison of a key takes."""
    times = []
    for _ in range(COMPARED):
        began = perf_counter_ns()
        api_keys.matches([PEPPER], "x" * api_keys.LENGTH, api_keys.NO_DIGEST)
        times.append(perf_counter_ns() - began)
    return median(times)
