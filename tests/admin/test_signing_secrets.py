"""Signing secrets and workspaces are made with their audit entry, on both databases."""

import asyncio
from typing import Any

import pytest

from gateway import problems
from gateway.access.sealing import Forged, Sealer, key_id, place
from gateway.admin.signing_secrets import ACTIVE_MAX
from gateway.config.parsers import signing_key
from gateway.transaction import Actor
from stores.sql.database import Database
from tests.support.services import CLI, ENCRYPTION_KEY, audited, services

NEW = b"n" * 32


async def test_a_secret_is_kept_sealed_in_its_place(database: Database) -> None:
    actor = Actor("key:abc", address="192.0.2.1", request_id="r-1")
    made = await services(database).secrets.create_secret("default", actor=actor)
    (kept,) = await services(database).secrets.list_secrets("default")
    sealer = Sealer([ENCRYPTION_KEY])
    opened = sealer.unseal(kept.sealed, kept.sealed_with, bound_to=place("default", made.id))
    assert opened == signing_key(made.secret)
    with pytest.raises(Forged):
        sealer.unseal(kept.sealed, kept.sealed_with, bound_to=place("team", made.id))
    assert made.secret not in repr(made)
    (entry,) = await audited(database)
    assert (entry.event, entry.principal, entry.address) == ("secret.created", *actor[:2])
    assert made.secret not in repr(entry)


async def test_a_test_key_makes_no_signing_secret(database: Database) -> None:
    """It would retire the one that live requests are signed with."""
    with pytest.raises(problems.Forbidden, match="A test key cannot create signing secrets"):
        await services(database).secrets.create_secret("default", actor=Actor("k", live=False))
    assert await services(database).secrets.list_secrets("default") == []


async def test_so_many_secrets_sign_at_once(database: Database) -> None:
    """Each signs each request, in one header; of another workspace none counts."""
    made = services(database)
    await made.workspaces.create("team", actor=CLI)
    await made.secrets.create_secret("team", actor=CLI)
    for _ in range(ACTIVE_MAX):
        await made.secrets.create_secret("default", actor=CLI)
    with pytest.raises(problems.InvalidRequest, match="has 5 active secrets"):
        await made.secrets.create_secret("default", actor=CLI)
    assert len(await made.secrets.list_secrets("default")) == ACTIVE_MAX


async def test_of_secrets_made_at_once_one_stays(database: Database) -> None:
    makers = [services(database).secrets.create_secret("default", actor=CLI) for _ in range(4)]
    await asyncio.gather(*makers)
    listed = await services(database).secrets.list_secrets("default")
    assert [one.retires_at is None for one in listed] == [True, False, False, False]
    assert len(await audited(database)) == 4


async def test_all_are_sealed_anew_or_none(database: Database) -> None:
    """One whose key is lost stops it; what was sealed before that is as it was."""
    made = services(database)
    await made.workspaces.create("team", actor=CLI)
    for workspace in ("default", "team"):
        await made.secrets.create_secret(workspace, actor=CLI)
    renewing = services(database, keys=(NEW, ENCRYPTION_KEY)).secrets
    seal = "UPDATE signing_secrets SET sealed_with = $1 WHERE workspace = 'team'"
    async with database.begin() as connection:
        await connection.execute(seal, "lost")
    with pytest.raises(problems.EncryptionNotConfigured, match="lost"):
        await renewing.reseal(actor=CLI)
    assert await sealed_with(database) == {"default": key_id(ENCRYPTION_KEY), "team": "lost"}
    async with database.begin() as connection:
        await connection.execute(seal, key_id(ENCRYPTION_KEY))
    assert await renewing.reseal(actor=CLI) == 2
    assert await sealed_with(database) == dict.fromkeys(("default", "team"), key_id(NEW))


async def sealed_with(database: Database) -> dict[str, Any]:
    async with database.connect() as connection:
        return dict(await connection.fetch("SELECT workspace, sealed_with FROM signing_secrets"))


async def test_an_unknown_workspace_has_no_secrets(database: Database) -> None:
    secrets = services(database).secrets
    with pytest.raises(problems.WorkspaceNotFound):
        await secrets.create_secret("team", actor=CLI)
    with pytest.raises(problems.WorkspaceNotFound):
        await secrets.list_secrets("team")


async def test_one_of_several_concurrent_creations_succeeds(database: Database) -> None:
    makers = [services(database).workspaces.create("team", actor=CLI) for _ in range(4)]
    answers = await asyncio.gather(*makers, return_exceptions=True)
    assert [type(a) for a in answers if a] == [problems.WorkspaceExists] * 3
    assert [entry.event for entry in await audited(database, "team")] == ["workspace.created"]


async def test_limits_that_are_set_at_once_are_all_set(database: Database) -> None:
    workspaces = services(database).workspaces
    transactions = [{"preview": 1}, {"execute": 2}, {"runs_at_once": 3}]
    await asyncio.gather(
        *(workspaces.limit("default", change, actor=CLI) for change in transactions)
    )
    (default,) = await workspaces.list()
    assert default.limits[:3] == (1, 2, 3)
