"""Several gateways with one store and one database, and what their audit must contain."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from redis import Redis

from gateway.access.key_cache import KeyCache
from gateway.access.sealing import Sealer
from gateway.admin.keys import NewKey
from gateway.config.secret import Secret
from gateway.config.settings import Settings
from gateway.database import LazyDatabase
from stores.audit.chain import Chain
from stores.audit.pages import Selection, rows_after
from stores.audit.signatures import Recorded
from stores.audit.verify import verify
from stores.audit.walk import Verified
from stores.redis import names
from stores.redis.client import open_store
from stores.redis.outbox import Outbox
from stores.redis.runs import Runs
from stores.sql.database import Database, open_database
from tests.support.forks import Fork, Forks
from tests.support.gateways import until
from tests.support.line import Line, line
from tests.support.services import AUDIT_KEY, PEPPER, services
from tests.support.shipping import shipper
from tests.support.valkey import Valkey

WORKSPACE = "default"


class Site:
    def __init__(self, valkey: Valkey, database_url: str, folder: Path) -> None:
        self.valkey, self.database_url, self.folder = valkey, database_url, folder

    def env(self, **more: str) -> dict[str, str]:
        """The environment of a gateway or a command."""
        return {
            "REDIS_URL": self.valkey.url,
            "DATABASE_URL": self.database_url,
            "RELAY_DATA_DIR": str(self.folder),
            "RELAY_KEY_PEPPER": PEPPER.decode(),
            "RELAY_AUDIT_KEY": AUDIT_KEY.decode(),
            **more,
        }

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        async with open_database(self.database_url, self.folder) as opened:
            yield opened

    async def key(self, name: str = "CI", role: str = "operator", **wanted: object) -> NewKey:
        async with self.database() as database:
            return await services(database).key(name, role, **wanted)

    @asynccontextmanager
    async def redis_line(self) -> AsyncIterator[Line]:
        async with line(lambda: asyncio.open_unix_connection(self.valkey.socket)) as between:
            yield between

    @asynccontextmanager
    async def database_line(self) -> AsyncIterator[Line]:
        port = urlsplit(self.database_url).port
        async with line(lambda: asyncio.open_connection("127.0.0.1", port)) as between:
            yield between

    def through(self, between: Line) -> str:
        """The URL of the database behind the proxy."""
        port = urlsplit(self.database_url).port
        return self.database_url.replace(f":{port}/", f":{between.port}/")

    async def books(self) -> list[Recorded]:
        """The audit in its order. Checks that it has no gap and no duplicate, and verifies."""
        async with self.database() as database:
            verdict = await verify(database, Chain([AUDIT_KEY]), WORKSPACE)
            async with database.connect() as connection:
                rows = await rows_after(connection, Selection(WORKSPACE), None, limit=100_000)
        assert verdict == Verified(WORKSPACE, len(rows), len(rows))
        assert [row.seq for row in rows] == [*range(1, len(rows) + 1)]
        assert len({row.source for row in rows}) == len(rows)
        return [row.recorded for row in rows]

    async def count(self) -> int:
        """The number of entries in the audit."""
        async with self.database() as database, database.connect() as connection:
            [(count,)] = await connection.fetch("SELECT count(*) FROM audit")
        return int(count)

    def waiting(self) -> int:
        """The number of entries in the outbox."""
        with self.valkey.client() as redis:
            return int(redis.xlen(names.outbox(WORKSPACE)))

    @asynccontextmanager
    async def held_head(self) -> AsyncIterator[None]:
        """No gateway ships while the block lasts."""
        async with self.database() as database, database.begin() as connection:
            await Chain([AUDIT_KEY]).locked_head(connection, WORKSPACE)
            yield

    async def ship(self) -> None:
        """Ship until no entry waits, like another gateway."""
        settings = Settings(
            data_dir=self.folder,
            database_url=Secret(self.database_url.encode()),
            audit_keys=(Secret(AUDIT_KEY),),
        )
        async with (
            open_store(self.valkey.url, self.folder) as store,
            LazyDatabase(settings) as archive,
        ):
            key_cache = KeyCache(archive.existing, Sealer(()))
            await key_cache.refresh()
            shipping = shipper(Outbox(store.scripts), Runs(store.scripts), archive, key_cache)
            await shipping.turn()
            await key_cache.close()
        assert shipping.backlog.entries == 0, shipping.check()

    async def shipped(self) -> None:
        """Wait until the gateways that run have shipped every entry."""

        async def none_waits() -> bool:
            return self.waiting() == 0

        await until(none_waits)

    def end_leases(self) -> int:
        """End all leases, as time does. Returns how many runs were in flight."""
        row = names.in_flight(WORKSPACE)
        with self.valkey.client() as redis:
            now = _now(redis)
            running = redis.zrange(row, 0, -1)
            for run_id in running:
                redis.zadd(row, {run_id: now}, xx=True)
                redis.hset(names.run(WORKSPACE, run_id.decode()), "lease_until", now)
        return len(running)


def _now(redis: "Redis") -> int:
    seconds, microseconds = redis.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def outcomes(books: list[Recorded], delivered: list[str]) -> dict[str, tuple[str, str]]:
    """Status and reason by the hash of the idempotency key. Checks that each delivery, known by its
    key, has an intent, that each intent is followed by one outcome, and that no outcome has no
    intent.
    """
    ends = Counter(entry.run_id for entry in books if entry.event == "run.ended")
    intents = {entry.run_id: entry for entry in books if entry.event == "run.intended"}
    assert ends == Counter(intents.keys())
    assert len(intents) == sum(entry.event == "run.intended" for entry in books)
    begun: set[str] = set()
    came: dict[str, tuple[str, str]] = {}
    for entry in books:
        if entry.event == "run.intended":
            begun.add(entry.run_id)
        elif entry.event == "run.ended":
            assert entry.run_id in begun, "an outcome before its intent"
            came[intents[entry.run_id].key_hash] = (entry.status, entry.reason)
    sent = Counter(hashed(key) for key in delivered)
    assert set(sent) <= set(came), "a delivery without an intent"
    assert max(sent.values(), default=0) <= 1, "a second delivery"
    assert all(came[one][0] != "not_sent" for one in sent)
    return came


def hashed(idempotency_key: str) -> str:
    return sha256(idempotency_key.encode()).hexdigest()


@asynccontextmanager
async def gateways(forks: Forks, *envs: Mapping[str, str]) -> AsyncIterator[list[Fork]]:
    """This many gateways, started concurrently."""
    async with AsyncExitStack() as stack:
        entering = (stack.enter_async_context(forks.gateway(env)) for env in envs)
        yield list(await asyncio.gather(*entering))
