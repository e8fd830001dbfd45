"""A change is made only if the key that asked for it is still valid."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta
from pathlib import Path

import pytest

from gateway import problems
from gateway.admin.keys import KeyRequest
from gateway.admin.signing_secrets import ACTIVE_MAX
from gateway.transaction import Actor
from stores.audit_entries import ANONYMOUS
from stores.sql.api_keys import ApiKey, revoke
from stores.sql.database import Database, open_database
from stores.sql.workspaces import lock
from tests.support.administered import problem
from tests.support.gateways import until
from tests.support.keyed import keyed_gateway
from tests.support.services import CLI, Services, audited, services
from tests.support.valkey import Valkey

VIEWER = KeyRequest("CI", "viewer")
WAITING = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def admin(database: Database, **wanted: object) -> ApiKey:
    return (await services(database).key("admin", "admin", **wanted)).key


def transactions(made: Services, principal: ApiKey, other: ApiKey) -> list[Awaitable[object]]:
    """Each that can be asked for with a key."""
    actor = Actor(principal.id, key=principal.id)
    return [
        made.keys.create_key("default", VIEWER, actor=actor),
        made.keys.rotate_key("default", other.id, actor=actor),
        made.keys.revoke_key("default", other.id, actor=actor),
        made.secrets.create_secret("default", actor=actor),
    ]


async def state(database: Database) -> list[object]:
    of = services(database)
    return [
        await of.keys.list_keys("default"),
        await of.secrets.list_secrets("default"),
        await audited(database),
    ]


async def test_a_revoked_key_changes_nothing(database: Database) -> None:
    """Whatever the memory of the gateway says: not a row is written."""
    leaked, boss = await admin(database), await admin(database)
    await services(database).keys.revoke_key("default", leaked.id, actor=CLI)
    before = await state(database)
    for change in transactions(services(database), leaked, boss):
        with pytest.raises(problems.Unauthenticated):
            await change
    assert await state(database) == before


async def test_an_expired_key_changes_nothing(database: Database) -> None:
    """From its very millisecond on; one before, it still does."""
    lasts = await admin(database, expires_in=timedelta(days=2))
    boss = await admin(database)
    over = services(database, clock=lambda: lasts.expires_at / 1000)
    before = await state(database)
    for change in transactions(over, lasts, boss):
        with pytest.raises(problems.Unauthenticated):
            await change
    assert await state(database) == before
    in_time = services(database, clock=lambda: (lasts.expires_at - 1) / 1000)
    for change in transactions(in_time, lasts, boss):
        assert await change


async def test_without_a_key_the_first_is_made_and_no_second(database: Database) -> None:
    """Of ten at once, too: in development all is open until then, and not a moment longer."""
    keys, nobody = services(database).keys, Actor(ANONYMOUS)
    asked = (keys.create_key("default", VIEWER, actor=nobody) for _ in range(10))
    made = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in made].count(problems.Unauthenticated) == 9
    assert len(await keys.list_keys("default")) == 1


async def test_a_key_of_nowhere_or_elsewhere_changes_nothing(database: Database) -> None:
    made, foreign = services(database), await admin(database)
    await made.workspaces.create("team", actor=CLI)
    for key_id in ("abcdefgh", foreign.id):
        with pytest.raises(problems.Unauthenticated):
            await made.keys.create_key("team", VIEWER, actor=Actor("k", key=key_id))
    assert await made.keys.list_keys("team") == []


@pytest.fixture
async def postgres_database(postgres_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(postgres_url, tmp_path) as opened:
        yield opened


async def waiting(database: Database, count: int) -> None:
    """So many transactions wait for another."""

    async def counted() -> bool:
        async with database.connect() as connection:
            return await connection.fetch(WAITING) == [(count,)]

    await until(counted)


@pytest.mark.parametrize("number", range(4))
async def test_a_revocation_that_is_first_wins(postgres_database: Database, number: int) -> None:
    """Against a change that was asked for before it was done, and waits for it."""
    database = postgres_database
    leaked, boss = await admin(database), await admin(database)
    wanted = transactions(services(database), leaked, boss)
    async with database.begin() as connection:
        await revoke(connection, "default", leaked.id, actor="boss", now_ms=leaked.created_at)
        change = asyncio.ensure_future(wanted.pop(number))
        await waiting(database, 1)
    with pytest.raises(problems.Unauthenticated):
        await change
    for unasked in wanted:
        unasked.close()  # type: ignore[attr-defined]
    keys, secrets, _ = await state(database)
    assert sorted(key.id for key in keys) == sorted((leaked.id, boss.id))  # type: ignore[attr-defined]
    assert secrets == []


async def test_a_key_that_ends_during_the_wait_changes_nothing(
    postgres_database: Database,
) -> None:
    """Such as the old one of a rotation without an overlap, which is the change waited for."""
    principal = await admin(postgres_database)
    seconds = [principal.expires_at / 1000 - 1]
    made = services(postgres_database, clock=lambda: seconds[0])
    async with postgres_database.begin() as connection:
        await lock(connection, "default")
        actor = Actor(principal.id, key=principal.id)
        change = asyncio.ensure_future(made.keys.create_key("default", VIEWER, actor=actor))
        await waiting(postgres_database, 1)
        seconds[0] += 1
    with pytest.raises(problems.Unauthenticated):
        await change


async def test_of_secrets_made_at_once_no_more_sign_than_may(
    postgres_database: Database,
) -> None:
    """Both of the two that ask for the last place wait; one gets it."""
    made = services(postgres_database)
    for _ in range(ACTIVE_MAX - 1):
        await made.secrets.create_secret("default", actor=CLI)
    async with postgres_database.begin() as connection:
        await lock(connection, "default")
        both = [
            asyncio.ensure_future(made.secrets.create_secret("default", actor=CLI))
            for _ in range(2)
        ]
        await waiting(postgres_database, 2)
    answers = await asyncio.gather(*both, return_exceptions=True)
    assert [type(answer) for answer in answers].count(problems.InvalidRequest) == 1, answers
    assert len(await made.secrets.list_secrets("default")) == ACTIVE_MAX


async def test_a_gateway_with_old_keys_answers_like_one_with_new_keys(
    valkey: Valkey, tmp_path: Path
) -> None:
    """401, in the same words and with the same challenge, to every change."""
    async with keyed_gateway(valkey.url, tmp_path) as keyed:
        client, made = keyed.client(await keyed.key("admin")), await keyed.services()
        leaked, other = await made.keys.list_keys("default")
        await made.keys.revoke_key("default", leaked.id, actor=CLI)
        answers = [
            await client.post("/keys", json={"name": "CI", "role": "admin"}),
            await client.post(f"/keys/{other.id}/rotate", json={}),
            await client.delete(f"/keys/{other.id}"),
            await client.post("/secrets", json={}),
        ]
        await keyed.look()
        answers.append(await client.get("/keys"))
        assert len(await made.keys.list_keys("default")) == 2
        assert await made.secrets.list_secrets("default") == []
    assert {problem(answer) for answer in answers} == {(401, "unauthenticated")}
    assert {one.headers["www-authenticate"] for one in answers} == {'Bearer realm="relay"'}
    assert len({one.json()["detail"] for one in answers}) == 1
