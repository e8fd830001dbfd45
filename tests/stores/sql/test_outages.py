"""Any outage raises DatabaseUnavailable, soon, with a readable message and without the password."""

import asyncio
import re
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext

import pytest
from trustme import CA

from stores.sql.database import CONNECTIONS, Database, open_database
from stores.sql.drivers.connection import Connection, Patience
from stores.sql.drivers.errors import DatabaseUnavailable
from stores.sql.workspaces import bump, generation
from tests.support.database_proxy import Proxy, proxy
from tests.support.postgres import PASSWORD, Postgres

HURRIED = Patience(connect=0.2, command=0.2, busy=0.05)
# Our wait, the wait of the driver for the server, and room for a slow machine.
SOON = 2.0
HERE = Path()


class Broken:
    """A database behind a proxy that can break the connection."""

    def __init__(self, database: Database, proxy: Proxy, server: Postgres, url: str) -> None:
        self.database, self.proxy, self.server, self.url = database, proxy, server, url


@pytest.fixture
async def broken(postgres: Postgres, postgres_url: str) -> AsyncIterator[Broken]:
    async with proxy(postgres) as between:
        url = between.url(postgres_url)
        async with open_database(url, HERE, patience=HURRIED) as database:
            yield Broken(database, between, postgres, url)


async def unavailable(work: Callable[[], Awaitable[object]]) -> DatabaseUnavailable:
    """The error that the block raises, which it must do soon and without the password."""
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailable) as caught:
        await work()
    assert time.monotonic() - started < SOON
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    return caught.value


async def bumped(database: Database) -> None:
    async with database.begin() as connection:
        await bump(connection)


async def silence(broken: Broken, _pid: int) -> None:
    broken.proxy.silent = True


async def cut(broken: Broken, _pid: int) -> None:
    broken.proxy.cut()


async def terminate(broken: Broken, pid: int) -> None:
    """End every connection, as a server does when it stops."""
    await broken.server.run(f"SELECT pg_terminate_backend({pid})")


Fails = Callable[[Broken, int], Awaitable[None]]


async def backend(connection: Connection) -> int:
    [(pid,)] = await connection.fetch("SELECT pg_backend_pid()")
    return int(pid)


@pytest.mark.parametrize("ends", ["statement", "commit"])
@pytest.mark.parametrize("fails", [silence, cut, terminate])
async def test_a_server_that_stops_during_a_transaction(
    broken: Broken, fails: Fails, ends: str
) -> None:
    """The transaction changes nothing, no connection is lost, and everything works once the server
    is back.
    """

    async def work() -> None:
        async with broken.database.begin() as connection:
            await bump(connection)
            await fails(broken, await backend(connection))
            if ends == "statement":
                await bump(connection)

    await unavailable(work)
    broken.proxy.silent = False
    assert broken.database._slots._value == CONNECTIONS
    await bumped(broken.database)
    async with broken.database.connect() as connection:
        assert await generation(connection) == 1


@pytest.mark.parametrize("fails", [silence, cut, terminate])
async def test_a_server_that_stops_between_two_transactions(broken: Broken, fails: Fails) -> None:
    """A pooled connection that was closed is replaced silently; a server that does not answer is an
    outage.
    """
    async with broken.database.begin() as connection:
        pid = await backend(connection)
    await fails(broken, pid)
    if fails is silence:
        await unavailable(lambda: bumped(broken.database))
        broken.proxy.silent = False
    await bumped(broken.database)


async def test_a_server_that_accepts_connections_and_does_not_answer(broken: Broken) -> None:
    broken.proxy.silent = True
    assert "in time" in str(await unavailable(broken.database.check))


async def test_a_lock_that_is_held_too_long_is_an_outage(broken: Broken) -> None:
    """The statement is given up in bounded time. Once the lock is free, the next one succeeds."""
    async with broken.database.begin() as connection:
        await bump(connection)
        await unavailable(lambda: bumped(broken.database))
    await bumped(broken.database)


async def test_a_busy_pool_is_an_outage(broken: Broken) -> None:
    """A transaction waits for a connection in bounded time."""
    async with AsyncExitStack() as stack:
        for _ in range(CONNECTIONS):
            await stack.enter_async_context(broken.database.connect())
        error = await unavailable(broken.database.check)
    assert "in use" in str(error)
    await broken.database.check()


async def test_closing_does_not_wait_for_a_silent_server(broken: Broken) -> None:
    """A driver that closes politely would wait as long as a statement, for each connection
    in turn.
    """
    patience = HURRIED._replace(command=60.0)
    async with asyncio.timeout(SOON), open_database(broken.url, HERE, patience=patience) as opened:
        await opened.check()
        broken.proxy.silent = True


async def test_the_certificate_of_a_server_is_checked(
    postgres: Postgres, postgres_url: str, tmp_path: Path
) -> None:
    """If the URL asks for it in libpq's terms."""
    known = CA()
    known.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for authority in (known, CA()):
        offered = SSLContext(PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(offered)
        async with proxy(postgres, offered) as between, AsyncExitStack() as stack:
            url = f"{between.url(postgres_url)}?sslmode=verify-full&sslrootcert={tmp_path}/ca.pem"
            database = await stack.enter_async_context(open_database(url, HERE))
            if authority is known:
                await database.check()
            else:
                assert "certificate" in str(await unavailable(database.check))


async def test_options_of_libpq_are_not_sent_to_the_server(postgres_url: str) -> None:
    """Providers print URLs with such options, and a server refuses options that it does
    not know.
    """
    query = "?channel_binding=prefer&connect_timeout=3&gssencmode=disable"
    async with open_database(postgres_url + query, HERE) as database:
        await database.check()


async def test_a_connection_that_is_reset_during_a_statement(broken: Broken) -> None:
    async def work() -> None:
        async with broken.database.begin() as connection:
            await connection.fetch("SELECT 1")
            asyncio.get_running_loop().call_later(0.02, broken.proxy.reset)
            await connection.fetch("SELECT pg_sleep(10)")

    error = await unavailable(work)
    assert "Connection" in str(error)
    await bumped(broken.database)


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("127.0.0.1:1/relay", "refused|Connect call failed"),
        ("127.0.0.1:{port}/unknown", "does not exist"),
        ("127.0.0.1:{port}/relay?sslmode=require", "SSL"),
    ],
)
async def test_an_unreachable_server_is_named(postgres: Postgres, where: str, says: str) -> None:
    """The message has the reason, so that an operator need not guess."""
    url = f"postgresql://relay:{PASSWORD}@{where.format(port=postgres.port)}"
    async with open_database(url, HERE, patience=HURRIED) as database:
        error = await unavailable(database.check)
    assert re.search(says, str(error))
