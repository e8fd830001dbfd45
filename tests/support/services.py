"""What makes keys, secrets and workspaces in tests, with the keys that they are made under."""

from collections.abc import Callable
from time import time
from typing import NamedTuple

import msgspec

from gateway.access.key_cache import PACES, KeyCache, Paces
from gateway.access.sealing import Sealer
from gateway.admin.connections import Connections
from gateway.admin.keys import KeyAdmin, KeyRequest, NewKey
from gateway.admin.signing_secrets import SigningSecrets
from gateway.admin.workspaces import Workspaces
from gateway.transaction import Actor, Transactions
from stores.audit.chain import Chain
from stores.audit_entries import Entry
from stores.sql.database import Database

PEPPER, AUDIT_KEY, ENCRYPTION_KEY = b"p" * 32, b"a" * 32, b"e" * 32
CLI = Actor("cli")


class Services(NamedTuple):
    keys: KeyAdmin
    secrets: SigningSecrets
    workspaces: Workspaces
    connections: Connections

    async def key(self, name: str = "CI", role: str = "operator", **wanted: object) -> NewKey:
        return await self.keys.create_key("default", KeyRequest(name, role, **wanted), actor=CLI)  # type: ignore[arg-type]


async def any_target(url: str) -> None:
    """No guard."""


def services(
    database: Database,
    *,
    clock: Callable[[], float] = time,
    keys: tuple[bytes, ...] = (ENCRYPTION_KEY,),
) -> Services:
    transactions = Transactions(database, Chain([AUDIT_KEY]), clock=clock)
    sealer = Sealer(keys)
    return Services(
        KeyAdmin(transactions, pepper=PEPPER),
        SigningSecrets(transactions, sealer),
        Workspaces(transactions),
        Connections(transactions, sealer, any_target),
    )


def key_cache(
    database: Database,
    *,
    keys: tuple[bytes, ...] = (ENCRYPTION_KEY,),
    paces: Paces = PACES,
    clock: Callable[[], float] = time,
) -> KeyCache:
    async def find() -> Database:
        return database

    return KeyCache(find, Sealer(keys), paces=paces, clock=clock)


async def audited(database: Database, workspace: str = "default") -> list[Entry]:
    """The audit entries of the workspace, in their order."""
    async with database.connect() as connection:
        asked = "SELECT entry FROM audit WHERE workspace = $1 ORDER BY seq"
        rows = await connection.fetch(asked, workspace)
    return [msgspec.json.decode(entry, type=Entry) for (entry,) in rows]
