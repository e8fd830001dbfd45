"""Real parts for every test: a Valkey, a PostgreSQL, targets on sockets, gateways under uvicorn."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import asyncpg  # type: ignore[import-untyped]
import pytest
from fakeredis import TcpFakeServer
from hypothesis import HealthCheck, settings
from redis.asyncio import Redis

from stores.redis.client import Store, open_store
from stores.redis.previews import NewPreview, Previews
from stores.redis.runs import Runs
from stores.redis.scripts import Scripts
from stores.sql.database import HEAD
from stores.sql.migrate import migrate
from stores.sql.tables import TABLES
from tests.support.gateways import Relay, gateway
from tests.support.postgres import Postgres, postgres_server
from tests.support.reservations import ORIGIN
from tests.support.target import Target, listening
from tests.support.valkey import SeparableScripts, Valkey

# A busy machine, not the data, makes generating slow: the tables of Unicode are built on first use.
settings.register_profile("relay", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("relay")

pytest_plugins = ("tests.support.databases", "tests.support.observed", "tests.support.untraced")

# What a test before has left, a connection included, is gone; what migrations put there is back.
EMPTY = f"""
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
{"".join(f"DELETE FROM {table.name};" for table in reversed(TABLES))}
INSERT INTO workspaces (name, created_at) VALUES ('default', 1);
INSERT INTO generation (id, number) VALUES (1, 0);
UPDATE alembic_version SET version_num = '{HEAD}';
"""


# What `make test` leaves out: what breaks things, what needs other servers, storms and fuzzers.
SLOW = (
    *("faults/", "stack/", "studio/", "fuzz/", "cli/gate/"),
    *("bench/test_gate.py", "bench/test_rest.py"),
    *("test_installation.py", "telemetry/test_export.py", "api/test_generated_client.py"),
    *("api/test_generated_typescript.py", "client/test_package.py", "flows/test_agents.py"),
    *("egress/test_hostile_targets.py", "http/test_hostile_headers.py"),
    *("cli/admin/test_first_commands.py", "actions/test_mail_message.py"),
    "connections/test_nanoidp.py",
    # jsonschema takes 2.7 s to load, in each process.
    *("api/test_schemas.py", "api/test_refusals_in_schemas.py", "mcp/test_result_schemas.py"),
    # Other people's clients take seconds to load, or need packages of npm.
    *("mcp/test_conformance.py", "mcp/test_python_sdk.py", "mcp/test_other_clients.py"),
)
# The second backends of the contracts.
SLOW_BACKENDS = ("postgresql", "fakeredis")


def _is_slow(path: Path) -> bool:
    return str(path.relative_to(Path(__file__).parent)).startswith(SLOW)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`make test` does not even import what it leaves out: some of it takes seconds."""
    quick = config.option.markexpr == "not slow"
    return True if quick and collection_path.is_file() and _is_slow(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _is_slow(item.path) or any(name in item.name for name in SLOW_BACKENDS):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """The collector passes over what was imported: with it each full turn takes 0.2 s."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    # Not tmp_path: a unix socket's path must be short.
    with TemporaryDirectory(prefix="relay-test-") as folder:
        server = Valkey(Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture
def valkey(valkey_server: Valkey) -> Iterator[Valkey]:
    """An empty server. After the test every key that it left must have an expiry, but for the
    outboxes of the audit.
    """
    with valkey_server.client() as client:
        client.flushall()
        yield valkey_server
        forever = [
            key
            for key in client.scan_iter()
            if client.pttl(key) == -1 and not key.endswith(b":outbox")
        ]
    assert not forever, "keys without an expiry"


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """A server that a test may stop, pause or fill."""
    with TemporaryDirectory(prefix="relay-test-") as folder:
        server = Valkey(Path(folder))
        server.start()
        yield server
        server.resume()
        server.stop()


@pytest.fixture
async def store(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(valkey.url, tmp_path) as opened:
        yield opened


class PlainScripts(dict[bytes, bytes]):
    """fakeredis cannot read the first line by which a script may write when memory is full."""

    def __setitem__(self, digest: bytes, source: bytes) -> None:
        super().__setitem__(digest, source.removeprefix(b"#!lua flags=allow-oom\n"))


@pytest.fixture(scope="session")
def fake_server() -> Iterator[int]:
    """The port of fakeredis."""
    with TcpFakeServer(("127.0.0.1", 0)) as server:
        server.fake_server.script_cache = PlainScripts()
        thread = Thread(target=partial(server.serve_forever, poll_interval=0.05))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture(params=["valkey", "fakeredis"])
async def scripts(request: pytest.FixtureRequest) -> AsyncIterator[Scripts]:
    """The store contracts hold on both."""
    if request.param == "fakeredis":
        client = Redis(port=request.getfixturevalue("fake_server"))
        await client.flushall()
    else:
        client = Redis(unix_socket_path=str(request.getfixturevalue("valkey").socket))
    scripts = SeparableScripts(client)
    yield scripts
    await scripts.close()
    await client.aclose()


@pytest.fixture
async def previews(scripts: Scripts) -> Previews:
    """Two live previews: p-1 and p-2."""
    previews = Previews(scripts)
    for name in ("p-1", "p-2"):
        await previews.save("w", NewPreview(name, name.encode(), ORIGIN))
    return previews


@pytest.fixture
def runs(scripts: Scripts, previews: Previews) -> Runs:
    return Runs(scripts)


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    async with listening() as opened:
        yield opened


@pytest.fixture
async def relay(valkey: Valkey) -> AsyncIterator[Relay]:
    """The client of a gateway with default settings that may reach loopback."""
    async with gateway(valkey.url) as client:
        yield client


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The same for every process of this run."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@pytest.fixture(scope="session")
def postgres(shared_folder: Path) -> Iterator[Postgres]:
    with postgres_server(shared_folder) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of this process's own database. Not async: migrations run a loop of their own."""
    url = postgres.url(asyncio.run(postgres.create()))
    migrate(url, tmp_path_factory.getbasetemp())
    return url


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated")
    migrate(None, folder)
    return folder / "relay.db"


@pytest.fixture
async def postgres_url(migrated_postgres: str) -> str:
    """Emptied: half of what it takes to create and drop a database."""
    connection = await asyncpg.connect(migrated_postgres)
    await connection.execute(EMPTY)
    await connection.close()
    return migrated_postgres


@pytest.fixture(autouse=True)
async def no_task_is_left() -> AsyncIterator[None]:
    yield
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not left, left
