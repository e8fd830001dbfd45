"""Keys are made, rotated and revoked with their audit entry, or not at all; on both databases."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from gateway import problems
from gateway.access import api_keys
from gateway.access.roles import ROLES, granted
from gateway.admin.keys import KeyRequest
from gateway.transaction import Actor
from stores.audit.chain import BrokenChain
from stores.sql.database import Database
from stores.sql.workspaces import generation
from tests.support.services import CLI, PEPPER, audited, services

DAY = 86_400_000


async def number(database: Database) -> int:
    async with database.connect() as connection:
        return await generation(connection)


async def test_a_key_is_shown_once_and_kept_as_a_digest(database: Database) -> None:
    made = await services(database).key()
    parsed = api_keys.parse(made.secret)
    assert parsed
    assert (parsed.id, parsed.live) == (made.key.id, True)
    (kept,) = await services(database).keys.list_keys("default")
    assert kept == made.key
    assert kept.digest == api_keys.digest(PEPPER, made.secret)
    assert kept.expires_at - kept.created_at == 90 * DAY
    assert (kept.created_by, kept.role, kept.scopes) == ("cli", "operator", None)
    assert made.secret not in repr(made)


async def test_a_key_and_its_entry_are_made_together(database: Database) -> None:
    """Who, from where, what; not the key itself. Gateways hear of it."""
    before = await number(database)
    actor = Actor("key:abc", address="192.0.2.1", request_id="r-1")
    wanted = KeyRequest("CI", "operator", scopes=["runs:read"], live=False)
    made = await services(database).keys.create_key("default", wanted, actor=actor)
    (entry,) = await audited(database)
    assert (entry.event, entry.subject) == ("key.created", made.key.id)
    assert (entry.principal, entry.address, entry.request_id) == ("key:abc", "192.0.2.1", "r-1")
    assert (entry.at, entry.detail) == (made.key.created_at, "test operator (runs:read): CI")
    assert await number(database) > before


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (KeyRequest("CI", "root"), "The role 'root' is not one of"),
        (KeyRequest("CI", "viewer", ["keys:manage"]), "not keys:manage"),
        (KeyRequest("CI", "viewer", ["everything"]), "not everything"),
        (KeyRequest("CI", "viewer", []), "can have some of"),
        (KeyRequest("CI", "developer", ["actions:execute"]), "A live key with the role developer"),
        (KeyRequest("", "viewer"), "A name has 1 to 100 printable characters"),
        (KeyRequest("a" * 101, "viewer"), "A name has 1 to 100 printable characters"),
        (KeyRequest("a\nb", "viewer"), "printable"),
        (KeyRequest("CI", "viewer", expires_in=timedelta()), "at most 365 days"),
        (KeyRequest("CI", "viewer", expires_in=timedelta(days=365, milliseconds=1)), "at most 365"),
    ],
)
async def test_what_cannot_be_meant_is_declined(
    database: Database, wanted: KeyRequest, said: str
) -> None:
    with pytest.raises(problems.InvalidRequest, match=said):
        await services(database).keys.create_key("default", wanted, actor=CLI)
    assert await audited(database) == []


@pytest.mark.parametrize(
    "wanted",
    [
        KeyRequest("a" * 100, "viewer", expires_in=timedelta(days=365)),
        KeyRequest("é", "developer", ["actions:execute"], live=False),
        KeyRequest("CI", "admin", expires_in=timedelta(milliseconds=1)),
    ],
)
async def test_what_is_just_within_is_made(database: Database, wanted: KeyRequest) -> None:
    made = await services(database).keys.create_key("default", wanted, actor=CLI)
    lifetime = timedelta(milliseconds=made.key.expires_at - made.key.created_at)
    assert (made.key.name, lifetime) == (wanted.name, wanted.expires_in)


@pytest.mark.parametrize(
    ("actor", "wanted"),
    [
        (Actor("k", scopes=ROLES["operator"]), KeyRequest("CI", "admin")),
        (
            Actor("k", scopes=granted("admin", ["keys:manage"], live=True)),
            KeyRequest("CI", "viewer"),
        ),
        (Actor("k", live=False), KeyRequest("CI", "viewer")),
    ],
)
async def test_a_key_grants_only_what_it_has(
    database: Database, actor: Actor, wanted: KeyRequest
) -> None:
    """Neither by making a key nor by rotating one."""
    made = services(database)
    with pytest.raises(problems.Forbidden, match="can grant only scopes that it has"):
        await made.keys.create_key("default", wanted, actor=actor)
    stronger = await made.keys.create_key("default", wanted, actor=CLI)
    with pytest.raises(problems.Forbidden):
        await made.keys.rotate_key("default", stronger.key.id, actor=actor)
    assert len(await made.keys.list_keys("default")) == 1


async def test_a_rotated_key_overlaps_with_the_new_one(database: Database) -> None:
    """The new one is like it and lives as long; the old one has a day."""
    made = services(database, clock=lambda: 1000.0)
    old = await made.key(scopes=["runs:read"], live=False, expires_in=timedelta(days=30))
    new = await services(database, clock=lambda: 5000.0).keys.rotate_key(
        "default", old.key.id, actor=CLI
    )
    assert new.secret != old.secret
    # The subject of the old key was the key itself.
    same = {"id", "digest", "created_at", "expires_at", "subject"}
    changed = {f for f in new.key._fields if getattr(new.key, f) != getattr(old.key, f)}
    assert changed == same
    assert new.key.subject == old.key.id
    assert new.key.expires_at == 5_000_000 + 30 * DAY
    after = {key.id: key for key in await made.keys.list_keys("default")}
    assert after[old.key.id].expires_at == 5_000_000 + DAY
    assert after[old.key.id].replaced_by == new.key.id
    entry = (await audited(database))[-1]
    assert (entry.event, entry.subject) == ("key.rotated", old.key.id)
    assert entry.detail == f"test operator (runs:read): CI; replaced by {new.key.id}"


async def test_an_overlap_ends_no_later_than_the_key(database: Database) -> None:
    made = services(database)
    old = await made.key(expires_in=timedelta(hours=1))
    await made.keys.rotate_key("default", old.key.id, actor=CLI, overlap=timedelta(days=9))
    kept = {key.id: key for key in await made.keys.list_keys("default")}
    assert kept[old.key.id].expires_at == old.key.expires_at
    with pytest.raises(problems.InvalidRequest):
        await made.keys.rotate_key("default", old.key.id, actor=CLI, overlap=timedelta(-1))


async def test_a_key_that_is_over_is_not_rotated(database: Database) -> None:
    """Revoked, rotated before, or expired; no key is made then."""
    made = services(database, clock=lambda: 1000.0)
    revoked, rotated, expired = [(await made.key(name)).key for name in ("a", "b", "c")]
    await made.keys.revoke_key("default", revoked.id, actor=CLI)
    await made.keys.rotate_key("default", rotated.id, actor=CLI)
    for key in (revoked, rotated):
        with pytest.raises(problems.KeyEnded):
            await made.keys.rotate_key("default", key.id, actor=CLI)
    later = services(database, clock=lambda: expired.expires_at / 1000)
    with pytest.raises(problems.KeyEnded):
        await later.keys.rotate_key("default", expired.id, actor=CLI)
    assert len(await made.keys.list_keys("default")) == 4
    events = [entry.event for entry in await audited(database)]
    assert events == ["key.created"] * 3 + ["key.revoked", "key.rotated"]


async def test_one_of_two_concurrent_rotations_succeeds(database: Database) -> None:
    made = services(database)
    old = await made.key()
    turns = [made.keys.rotate_key("default", old.key.id, actor=CLI) for _ in range(4)]
    answers: list[Any] = await asyncio.gather(*turns, return_exceptions=True)
    over = [answer for answer in answers if isinstance(answer, problems.KeyEnded)]
    assert len(over) == 3, answers
    assert len(await made.keys.list_keys("default")) == 2


async def test_a_revoked_key_stays_revoked_as_it_was(database: Database) -> None:
    """The second time changes nothing and is no news."""
    made = services(database, clock=lambda: 1000.0)
    key = (await made.key()).key
    first = await made.keys.revoke_key("default", key.id, actor=Actor("ann"))
    later = services(database, clock=lambda: 2000.0)
    assert await later.keys.revoke_key("default", key.id, actor=Actor("bob")) == first
    assert (first.revoked_at, first.revoked_by) == (1_000_000, "ann")
    assert [e.event for e in await audited(database)] == ["key.created", "key.revoked"]


async def test_the_last_admin_is_kept(database: Database) -> None:
    made = services(database)
    admin = (await made.key(role="admin")).key
    with pytest.raises(problems.LastAdminKept):
        await made.keys.revoke_key("default", admin.id, actor=CLI)
    await made.keys.rotate_key("default", admin.id, actor=CLI)
    assert (await made.keys.revoke_key("default", admin.id, actor=CLI)).revoked_at


async def test_a_foreign_key_is_as_unknown_as_one_that_never_was(database: Database) -> None:
    made = services(database)
    await made.workspaces.create("team", actor=CLI)
    foreign = (await made.key()).key.id
    for change in (made.keys.rotate_key, made.keys.revoke_key):
        said = []
        for key_id in (foreign, "abcdefgh"):
            with pytest.raises(problems.KeyNotFound) as caught:
                await change("team", key_id, actor=CLI)
            said.append(str(caught.value).replace(key_id, "…"))
        assert said[0] == said[1]
    assert [entry.event for entry in await audited(database, "team")] == ["workspace.created"]


async def test_a_key_revokes_only_keys_without_more_rights(database: Database) -> None:
    """A narrowed key could leave a workspace without any that can make its like."""
    made = services(database)
    await made.key("Ann", "admin")
    other = (await made.key("Bob", "admin")).key
    for actor in (Actor("k", scopes=frozenset({"keys:manage"})), Actor("k", live=False)):
        with pytest.raises(problems.Forbidden, match="revoke only keys without more rights"):
            await made.keys.revoke_key("default", other.id, actor=actor)
    assert (await made.keys.revoke_key("default", other.id, actor=Actor("k"))).revoked_at


async def test_an_unknown_workspace_has_no_keys(database: Database) -> None:
    keys = services(database).keys
    with pytest.raises(problems.WorkspaceNotFound):
        await keys.create_key("team", KeyRequest("CI", "viewer"), actor=CLI)
    with pytest.raises(problems.WorkspaceNotFound):
        await keys.list_keys("team")


async def test_a_broken_chain_keeps_no_key_alive(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A broken chain takes no entry, so no key is made. A key is still revoked,
    and the log names the entry that is missing in the audit.
    """
    made = services(database)
    key = (await made.key()).key
    async with database.begin() as connection:
        await connection.execute("UPDATE audit_heads SET seq = 7")
    with pytest.raises(BrokenChain):
        await made.key()
    await made.keys.revoke_key("default", key.id, actor=CLI)
    async with database.connect() as connection:
        rows = await connection.fetch("SELECT id, revoked_at IS NOT NULL FROM api_keys")
    assert rows == [(key.id, True)]
    [said] = [vars(record)["fields"] for record in caplog.records]
    assert said == {"workspace": "default", "missing": "key.revoked", "subject": key.id}
