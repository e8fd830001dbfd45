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

from gateway.access.key_cache import KeyCache
from gateway.access.sealing import Sealer
from gateway.api.state import Opened
from gateway.audit.maintenance import Maintenance
from gateway.audit.shipper import Shipper
from gateway.config.secret import Secret
from gateway.config.settings import Settings
from gateway.database import LazyDatabase
from stores.audit.chain import Chain, HeadLocked
from stores.audit.signatures import Head, SignedHead
from stores.audit.verify import verify
from stores.audit.walk import Broken, Verified
from stores.redis.client import Store
from stores.redis.outbox import Outbox, Waiting
from stores.redis.runs import Runs
from stores.redis.scripts import RedisUnavailable, Scripts
from stores.sql import workspaces
from stores.sql.database import Database
from stores.sql.drivers.connection import Connection
from stores.sql.drivers.errors import DatabaseUnavailable
from tests.support.chains import entry, head, rows
from tests.support.keyed import first_key

KEY, NEWER = b"a" * 32, b"n" * 32
KEPT = timedelta(days=90)
SECOND = timedelta(seconds=1)
LEASE = 20 * SECOND


class Holding(Chain):
    """The head of the workspace `held` cannot be read; other gateways ship `shipped`."""

    def __init__(self, keys: Sequence[bytes], held: str, shipped: Sequence[str]) -> None:
        super().__init__(keys)
        self._held, self._shipped = held, shipped

    async def locked_head(
        self, connection: Connection, workspace: str, *, wait: bool = True
    ) -> Head | None:
        if workspace in self._shipped:
            raise HeadLocked
        return await super().locked_head(connection, workspace, wait=wait)

    async def read_head(self, connection: Connection, workspace: str) -> Head | None:
        if workspace == self._held:
            raise DatabaseUnavailable
        return await super().read_head(connection, workspace)


class Away(LazyDatabase):
    """Away if `away` is set; for `held` and `shipped` see Holding; waits at `gate`."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.away = False
        self.keys: Sequence[bytes] = [KEY]
        self.held = ""
        self.shipped: Sequence[str] = ()
        self.asked, self.gate = asyncio.Event(), asyncio.Event()
        self.gate.set()

    def other(self, *, away: bool = False, keys: Sequence[bytes] = (KEY,)) -> "Away":
        """The same database for another gateway."""
        other = copy(self)
        other.away, other.keys = away, keys
        return other

    def chain(self) -> Chain:
        return Holding(self.keys, self.held, self.shipped)

    async def open(self) -> Database:
        self.asked.set()
        await self.gate.wait()
        if self.away:
            raise DatabaseUnavailable
        return await super().open()


class Crashing(Outbox):
    """`lost`: Redis goes away before shipped entries are removed. `refilled`: workspaces that get
    as many new entries as were shipped.
    """

    lost = False

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


def shipper(outbox: Outbox, runs: Runs, database: LazyDatabase, key_cache: KeyCache) -> Shipper:
    maintenance = Maintenance(database, retention=KEPT, lease=LEASE, runs=runs, outbox=outbox)
    return Shipper(outbox, database, key_cache, maintenance)


class Audit:
    """An outbox, a database, and any number of shippers between them."""

    def __init__(self, store: Store, database: Away, key_cache: KeyCache) -> None:
        self.outbox = Crashing(store.scripts)
        self.client = store.client
        self.database = database
        self._key_cache = key_cache
        self._recorded = 0
        self.runs = Runs(store.scripts)

    async def record(self, count: int = 1, workspace: str = "w", ago: timedelta = SECOND) -> None:
        """Record this many entries of this age, with consecutive sources."""
        at = round((time() - ago.total_seconds()) * 1000)
        numbers = range(self._recorded, self._recorded + count)
        self._recorded += count
        entries = [(f"{workspace}-{number:05}", entry(at=at)) for number in numbers]
        await self.outbox.record(workspace, entries)

    def shipper(self, database: Away | None = None) -> Shipper:
        database = database or self.database
        return shipper(self.outbox, self.runs, database, self._key_cache)

    async def execute(self, statement: str, *values: Any) -> None:
        async with (await self.database.open()).begin() as connection:
            await connection.execute(statement, *values)

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
    for name in ("_heads_at", "_repeat_at", "_removal_at"):
        due = getattr(shipper._maintenance, name)
        setattr(shipper._maintenance, name, due - passed.total_seconds())


@asynccontextmanager
async def audited(store: Store, folder: Path, url: str | None = None) -> AsyncIterator[Audit]:
    """Open the audit of the workspaces `w` and `x`. Without a URL the database is in the folder."""
    settings = Settings(
        data_dir=folder,
        database_url=Secret(url.encode()) if url else None,
        audit_keys=(Secret(KEY),),
        key_peppers=(Secret(KEY),),
    )
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
    """Write this gateway's journal and ship it."""
    await state["journal"].write()
    outbox, runs = Outbox(store.scripts), Runs(store.scripts)
    shipping = shipper(outbox, runs, state["database"], state["key_cache"])
    await shipping.turn()
    assert shipping.check().verdict == "ok", shipping.check()
