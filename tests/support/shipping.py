"""An outbox, shippers and the database that they write to, each of which can fail."""

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
    """Another transaction locks the head of a workspace for longer than a statement may wait."""

    def __init__(self, keys: Sequence[bytes], held: str) -> None:
        super().__init__(keys)
        self._held = held

    async def locked_head(self, connection: AsyncConnection, workspace: str) -> Head | None:
        if workspace == self._held:
            raise DatabaseUnavailable
        return await super().locked_head(connection, workspace)


class Away(LazyDatabase):
    """Away if `away` is set; the head of the workspace `held` stays locked; waits at `gate`."""

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
    """`lost`: Redis goes away before shipped entries are removed. `sole`: every shipper leads.
    `refilled`: workspaces that get as many new entries as were shipped.
    """

    lost = sole = False

    def __init__(self, scripts: Scripts) -> None:
        super().__init__(scripts)
        # The workspaces of the batches that were written, in order.
        self.batches: list[str] = []
        self.refilled: Sequence[str] = ()

    async def collect(
        self, workspace: str, *, shipped: Sequence[bytes] = (), limit: int
    ) -> Waiting:
        if self.lost and shipped:
            raise RedisUnavailable("the reply was lost")
        self.batches += [workspace] * bool(shipped)
        if shipped and workspace in self.refilled:
            again = [(str(uuid4()), entry(at=1)) for _ in shipped]
            await self.record(workspace, again)
        return await super().collect(workspace, shipped=shipped, limit=limit)

    async def lead(self, gateway: str, lead: timedelta) -> bool:
        return self.sole or await super().lead(gateway, lead)


class Audit:
    """An outbox, a database, and any number of shippers between them."""

    def __init__(self, store: Store, database: Away, key_cache: KeyCache) -> None:
        self.outbox = Crashing(store.scripts)
        self.client = store.client
        self.database = database
        self._key_cache = key_cache
        self._recorded = 0

    async def record(self, count: int = 1, workspace: str = "w", ago: timedelta = SECOND) -> None:
        """Record this many entries of this age, with consecutive sources."""
        at = round((time() - ago.total_seconds()) * 1000)
        numbers = range(self._recorded, self._recorded + count)
        self._recorded += count
        entries = [(f"{workspace}-{number:05}", entry(at=at)) for number in numbers]
        await self.outbox.record(workspace, entries)

    def shipper(self, database: Away | None = None) -> Shipper:
        return Shipper(self.outbox, database or self.database, self._key_cache, retention=KEPT)

    async def execute(self, statement: str, **values: Any) -> None:
        async with (await self.database.open()).begin() as connection:
            await connection.execute(text(statement), values)

    async def sources(self, workspace: str = "w") -> list[str]:
        """The sources of the entries, in the order of the chain."""
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


def later(shipper: Shipper, passed: timedelta) -> None:
    """Let this much time pass for the shipper."""
    for name in ("_backlog_at", "_back_off_until", "_keep_lead_until"):
        setattr(shipper, name, getattr(shipper, name) - passed.total_seconds())
    for name in ("_heads_at", "_removal_at"):
        due = getattr(shipper._maintenance, name)
        setattr(shipper._maintenance, name, due - passed.total_seconds())


@asynccontextmanager
async def audited(store: Store, folder: Path) -> AsyncIterator[Audit]:
    """Open the audit of the workspaces `w` and `x`, with a database in this folder."""
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
    """Write this gateway's journal and ship it, even if another gateway leads."""
    await state["journal"].write()
    outbox = Crashing(store.scripts)
    outbox.sole = True
    shipper = Shipper(outbox, state["database"], state["key_cache"], retention=KEPT)
    await shipper.turn()
    assert shipper.check().verdict == "ok", shipper.check()
