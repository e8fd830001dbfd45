"""What waits in an outbox, what ships it, and the database in which it arrives; each may fail."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from copy import copy
from datetime import timedelta
from pathlib import Path
from time import time
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.access.key_cache import KeyCache
from gateway.access.sealing import Sealer
from gateway.api.state import Opened
from gateway.audit.shipper import Shipper
from gateway.config.secret import Secret
from gateway.config.settings import Settings
from gateway.database import LazyDatabase
from stores.audit.chain import Chain
from stores.audit.signatures import Head, SignedHead
from stores.audit.verify import verify
from stores.audit.walk import Broken, Verified
from stores.redis.client import Store
from stores.redis.outbox import Outbox, Waiting
from stores.redis.scripts import RedisUnavailable, Scripts
from stores.sql import workspaces
from stores.sql.database import Database
from stores.sql.errors import DatabaseUnavailable
from tests.support.chains import entry, head, rows
from tests.support.keyed import first_key

KEY, NEWER = b"a" * 32, b"n" * 32
KEPT = timedelta(days=90)
SECOND = timedelta(seconds=1)


class Holding(Chain):
    """Somebody holds the head of a workspace for longer than is waited for it."""

    def __init__(self, keys: Sequence[bytes], held: str) -> None:
        super().__init__(keys)
        self._held = held

    async def locked_head(self, connection: AsyncConnection, workspace: str) -> Head | None:
        if workspace == self._held:
            raise DatabaseUnavailable
        return await super().locked_head(connection, workspace)


class Away(LazyDatabase):
    """Goes away when told, or the head of the workspace `held` is; waits at `gate` before use."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.away = False
        self.keys: Sequence[bytes] = [KEY]
        self.held = ""
        self.asked, self.gate = asyncio.Event(), asyncio.Event()
        self.gate.set()

    def other(self, *, away: bool = False, keys: Sequence[bytes] = (KEY,)) -> "Away":
        """The same database for another gateway."""
        other = copy(self)
        other.away, other.keys = away, keys
        return other

    def chain(self) -> Chain:
        return Holding(self.keys, self.held)

    async def open(self) -> Database:
        self.asked.set()
        await self.gate.wait()
        if self.away:
            raise DatabaseUnavailable
        return await super().open()


class Crashing(Outbox):
    """`lost`: the store goes away as shipped entries are to be removed. `sole`: leads always.
    `refilled`: workspaces in which as much comes anew whenever something was shipped.
    """

    lost = sole = False

    def __init__(self, scripts: Scripts) -> None:
        super().__init__(scripts)
        # The workspaces of the batches that were written, in their order.
        self.batches: list[str] = []
        self.refilled: Sequence[str] = ()

    async def collect(
        self, workspace: str, *, shipped: Sequence[bytes] = (), limit: int
    ) -> Waiting:
        if self.lost and shipped:
            raise RedisUnavailable
        self.batches += [workspace] * bool(shipped)
        if shipped and workspace in self.refilled:
            again = [(str(uuid4()), entry(at=1)) for _ in shipped]
            await self.record(workspace, again)
        return await super().collect(workspace, shipped=shipped, limit=limit)

    async def lead(self, who: str, lasting: timedelta) -> bool:
        return self.sole or await super().lead(who, lasting)


class Audit:
    """An outbox, a database, and as many shippers between them as are asked for."""

    def __init__(self, store: Store, database: Away, key_cache: KeyCache) -> None:
        self.outbox = Crashing(store.scripts)
        self.client = store.client
        self.database = database
        self._roster = key_cache
        self._recorded = 0

    async def record(self, count: int = 1, workspace: str = "w", ago: timedelta = SECOND) -> None:
        """So many entries of so long ago, their sources numbered on."""
        at = round((time() - ago.total_seconds()) * 1000)
        numbers = range(self._recorded, self._recorded + count)
        self._recorded += count
        entries = [(f"{workspace}-{number:05}", entry(at=at)) for number in numbers]
        await self.outbox.record(workspace, entries)

    def shipper(self, database: Away | None = None) -> Shipper:
        return Shipper(self.outbox, database or self.database, self._roster, retention=KEPT)

    async def execute(self, statement: str, **values: Any) -> None:
        async with (await self.database.open()).begin() as connection:
            await connection.execute(text(statement), values)

    async def sources(self, workspace: str = "w") -> list[str]:
        """In the order of the chain."""
        return [row.source for row in await rows(await self.database.open(), workspace)]

    async def verified(
        self, workspace: str = "w", heads: Sequence[SignedHead] = ()
    ) -> Verified | Broken:
        return await verify(await self.database.open(), Chain([KEY]), workspace, heads=heads)

    async def head(self) -> Head:
        return await head(await self.database.open())

    async def waits(self, workspace: str = "w") -> int:
        return (await self.outbox.collect(workspace, limit=1)).total

    async def break_chain(self) -> None:
        await self.execute("UPDATE audit_heads SET seq = seq + 1 WHERE workspace = 'w'")

    async def mend_chain(self) -> None:
        await self.execute("UPDATE audit_heads SET seq = seq - 1 WHERE workspace = 'w'")


def later(shipper: Shipper, actor: timedelta) -> None:
    """What the shipper is after so long."""
    for moment in ("_backlog_at", "_back_off_until", "_keep_lead_until"):
        setattr(shipper, moment, getattr(shipper, moment) - actor.total_seconds())
    for moment in ("_heads_at", "_removal_at"):
        due = getattr(shipper._maintenance, moment)
        setattr(shipper._maintenance, moment, due - actor.total_seconds())


@asynccontextmanager
async def audited(store: Store, folder: Path) -> AsyncIterator[Audit]:
    """Of the workspaces `w` and `x`, in a database in this folder."""
    settings = Settings(data_dir=folder, audit_keys=(Secret(KEY),), key_peppers=(Secret(KEY),))
    await first_key(settings)
    database = Away(settings)
    async with database:
        async with (await database.open()).begin() as connection:
            for name in ("w", "x"):
                await workspaces.create(connection, name, now_ms=1)
        key_cache = KeyCache(database.existing, Sealer(()))
        await key_cache.refresh()
        yield Audit(store, database, key_cache)
        await key_cache.close()


@pytest.fixture
async def audit(store: Store, tmp_path: Path) -> AsyncIterator[Audit]:
    async with audited(store, tmp_path) as opened:
        yield opened


def numbered(count: int, workspace: str = "w") -> list[str]:
    return [f"{workspace}-{number:05}" for number in range(count)]


async def shipped(store: Store, state: Opened) -> None:
    """All that this gateway has noted is in its database, whoever leads."""
    await state["journal"].write()
    outbox = Crashing(store.scripts)
    outbox.sole = True
    shipper = Shipper(outbox, state["database"], state["key_cache"], retention=KEPT)
    await shipper.turn()
    assert shipper.check().verdict == "ok", shipper.check()
