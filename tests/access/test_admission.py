"""Who may come in: with one good key, and no other way; told apart before anything is read."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from time import time

import pytest
from starlette.requests import Request

from gateway.access.api_keys import LENGTH, checksum, make
from gateway.access.key_cache import KeyCache
from gateway.access.sealing import Sealer
from gateway.admin.keys import KeyRequest
from gateway.api.routes import ENDPOINTS
from gateway.config.secret import Secret
from gateway.problems import Unauthenticated
from stores.sql.migrate import migrate
from tests.support.admissions import admission
from tests.support.events import head
from tests.support.gateways import gateway
from tests.support.keyed import BY, PEPPER, Keyed, keyed_gateway
from tests.support.valkey import Valkey

ORIGIN = "https://studio.example.com"
UNKNOWN = "This key is unknown, expired or revoked."
NO_KEY = "This is not an API key of Relay."
NO_HEADER = "Send one header `Authorization: Bearer` with an API key."


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    async with keyed_gateway(valkey.url, tmp_path, cors_origins=(ORIGIN,)) as opened:
        yield opened


def summed(start: str) -> str:
    """With a right checksum."""
    return start + checksum(start)


def of_other_kind(key: str) -> str:
    return summed(key.replace("_live_", "_test_")[: LENGTH - 6])


def of_other_secret(key: str) -> str:
    return summed(f"{key[:40]}{'a' if key[40] != 'a' else 'b'}{key[41 : LENGTH - 6]}")


def misspelt(key: str) -> str:
    return key[:-1] + ("a" if key[-1] != "a" else "b")


GOOD: list[Callable[[str], str]] = [
    lambda key: f"Bearer {key}",
    lambda key: f"bearer {key}",
    lambda key: f"BEARER {key}",
    lambda key: f"Bearer   {key}",
]
BAD: list[tuple[Callable[[str], list[str]], str]] = [
    (lambda key: [], NO_HEADER),
    (lambda key: [""], NO_HEADER),
    (lambda key: ["Bearer"], NO_HEADER),
    (lambda key: [key], NO_HEADER),
    (lambda key: ["Basic dXNlcjpwYXNz"], NO_HEADER),
    (lambda key: [f"Basic {key}"], NO_HEADER),
    (lambda key: [f"Bearer: {key}"], NO_HEADER),
    (lambda key: [f"Bearer\t{key}"], NO_HEADER),
    (lambda key: [f"Bearer {key} {key}"], NO_HEADER),
    (lambda key: [f"Bearer {key}, Bearer {key}"], NO_HEADER),
    (lambda key: [f"Bearer {key}"] * 2, NO_HEADER),
    (lambda key: [f"Bearer {key}", "Basic dXNlcjpwYXNz"], NO_HEADER),
    (lambda key: ["Bearer ключ"], NO_HEADER),
    (lambda key: [f"Bearer {key}é"], NO_HEADER),
    (lambda key: ["Bearer junk"], NO_KEY),
    (lambda key: ["Bearer " + "a" * 50_000], NO_KEY),
    (lambda key: [f"Bearer {key}a"], NO_KEY),
    (lambda key: [f"Bearer {key[:-1]}"], NO_KEY),
    (lambda key: [f"Bearer {misspelt(key)}"], NO_KEY),
    (lambda key: [f"Bearer {key.replace('_live_', '_test_')}"], NO_KEY),
    (lambda key: [f"Bearer {key.replace('rly_', 'RLY_')}"], NO_KEY),
    (lambda key: [f"Bearer {of_other_kind(key)}"], UNKNOWN),
    (lambda key: [f"Bearer {of_other_secret(key)}"], UNKNOWN),
    (lambda key: [f"Bearer {make(live=True).text}"], UNKNOWN),
]


async def test_one_good_key_opens(keyed: Keyed) -> None:
    """The scheme is written in any case (RFC 9110, 11.1), with any number of spaces."""
    stranger = keyed.client()
    for written in GOOD:
        answer = await stranger.get("/runs", headers={"Authorization": written(keyed.admin)})
        assert answer.status_code == 200, written("…")


async def test_whatever_else_is_sent_does_not(keyed: Keyed, subtests: pytest.Subtests) -> None:
    """401 with a challenge; the sentence does not reveal whether there is such a key."""
    stranger = keyed.client()
    for written, detail in BAD:
        lines = written(keyed.admin)
        with subtests.test(str(lines)[:80]):
            headers = [(b"Authorization", line.encode()) for line in lines]
            answer = await stranger.get("/runs", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
            assert answer.json()["detail"] == detail
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="relay"'
            assert keyed.admin not in answer.text


async def test_a_header_of_any_length_opens_nothing(keyed: Keyed) -> None:
    """Not even with a good key at its end."""
    headers = {"Authorization": f"Bearer {'a' * 60_000} {keyed.admin}"}
    answer = await keyed.client().get("/runs", headers=headers)
    assert answer.status_code == 401, answer.status_code


async def test_a_key_ends_at_its_moment(keyed: Keyed) -> None:
    """A millisecond before, it opens; from then on it does not, with no reading in between."""
    now = [time()]
    key_cache = KeyCache(keyed.state["database"].existing, Sealer(()), clock=lambda: now[0])
    wanted = KeyRequest("brief", "viewer", expires_in=timedelta(hours=1))
    key, secret = await (await keyed.services()).keys.create_key("default", wanted, actor=BY)
    await key_cache.refresh()
    door = admission(key_cache, lambda: [PEPPER])

    now[0] = (key.expires_at - 1) / 1000
    assert door.admit(bringing(secret), "runs:read").id == key.id
    now[0] = key.expires_at / 1000
    with pytest.raises(Unauthenticated, match="expired"):
        door.admit(bringing(secret), "runs:read")
    await key_cache.close()


def bringing(key: str) -> Request:
    headers = [(b"authorization", f"Bearer {key}".encode())]
    state = {"request_id": "r-1"}
    return Request({"type": "http", "headers": headers, "client": None, "state": state})


async def test_admission_refuses_before_the_body_is_read(keyed: Keyed) -> None:
    """A body of 1 GB is announced, none is sent, and the answer is there."""
    viewer = await keyed.key("viewer")
    for path in ("/actions/preview", "/actions/execute", "/keys"):
        assert (await announced(keyed, path)).startswith(b"HTTP/1.1 401")
        bearer = f"Authorization: Bearer {viewer}"
        assert (await announced(keyed, path, bearer)).startswith(b"HTTP/1.1 403")


async def announced(keyed: Keyed, path: str, *headers: str) -> bytes:
    """The first line of the answer to a request whose body does not come."""
    head = [f"POST {path} HTTP/1.1", "Host: relay", "Content-Length: 1000000000", *headers]
    host, port = keyed.url.removeprefix("http://").split(":")
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write("\r\n".join([*head, "Content-Type: application/json", "", ""]).encode())
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
    return line


async def test_head_needs_the_scope_of_get(keyed: Keyed) -> None:
    """The same status without a key, with a key that lacks the scope and with one that has it."""
    clients = [keyed.client(), keyed.client(await keyed.key("auditor")), keyed.relay]
    for path in [endpoint.path for endpoint in ENDPOINTS if endpoint.method == "GET"]:
        asked = re.sub(r"\{\w+\}", "none", path)
        for client in clients:
            opens = path == "/events"  # and would stay open
            got = await (head(client) if opens else client.get(asked))
            told = await client.head(asked)
            assert (told.status_code, told.content) == (got.status_code, b""), path


async def test_a_refusal_can_be_read_by_a_page(keyed: Keyed) -> None:
    """A 401 has the headers of CORS, or a browser would show none of it."""
    answer = await keyed.client().get("/runs", headers={"Origin": ORIGIN})
    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


async def test_production_without_a_key_admits_no_request(valkey: Valkey, tmp_path: Path) -> None:
    """/ready says what to run; in development the same database opens to all."""
    await asyncio.to_thread(migrate, None, tmp_path)
    held = (Secret(PEPPER),)
    database = Secret(f"sqlite:///{tmp_path}/relay.db".encode())
    asked = {"data_dir": tmp_path, "database_url": database, "key_peppers": held}
    async with gateway(valkey.url, env="production", audit_keys=held, **asked) as relay:
        assert (await relay.get("/actions")).status_code == 401
        ready = await relay.get("/ready")
        assert ready.status_code == 503
        [keys] = [check for check in ready.json()["checks"] if check["name"] == "keys"]
        assert keys["verdict"] == "failed"
        assert "relay keys create" in keys["detail"]
    async with gateway(valkey.url, audit_keys=held, **asked) as relay:
        assert (await relay.get("/actions")).status_code == 200
        junk = await relay.get("/actions", headers={"Authorization": "Bearer junk"})
        assert junk.status_code == 401
