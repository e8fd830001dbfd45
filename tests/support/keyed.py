"""A gateway in this process that has a database, asks for keys, and makes them for tests."""

from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gateway.access.sealing import Sealer
from gateway.admin.keys import KeyRequest
from gateway.admin.services import Services, services
from gateway.api.state import Opened
from gateway.app import create_app
from gateway.config.local_keys import audit_keys, encryption_keys, peppers
from gateway.config.secret import Secret
from gateway.config.settings import Settings
from gateway.database import FILE, exists, location
from gateway.http.server import ListeningServer, running
from gateway.transaction import Actor
from stores.sql.database import open_database
from stores.sql.migrate import migrate
from tests.support.gateways import Relay, client, settings

PEPPER, AUDIT_KEY, ENCRYPTION_KEY = b"p" * 32, b"a" * 32, b"e" * 32
BY = Actor("test")


class Keyed:
    """`relay`: the client of an admin of the workspace `default`."""

    def __init__(self, url: str, state: Opened, stack: AsyncExitStack, *, admin: str) -> None:
        self.url = url
        self.state = state
        self._stack = stack
        self.admin = admin
        self.relay = self.client(admin)

    def client(self, secret: str | None = None) -> Relay:
        """One that brings a key, or none; closed when the gateway is."""
        made = client(self.url)
        self._stack.push_async_callback(made.aclose)
        if secret:
            made.headers["Authorization"] = f"Bearer {secret}"
        return made

    async def services(self) -> Services:
        return await self.state["services"]()

    async def key(
        self,
        role: str,
        *,
        workspace: str = "default",
        live: bool = True,
        scopes: Sequence[str] | None = None,
    ) -> str:
        """Made, and known to the gateway."""
        wanted = KeyRequest("test", role, scopes, live=live)
        new_key = await (await self.services()).keys.create_key(workspace, wanted, actor=BY)
        await self.look()
        return new_key.secret

    async def workspace(self, name: str, **limits: int) -> None:
        """Made, and known to the gateway."""
        made = await self.services()
        await made.workspaces.create(name, actor=BY)
        await made.workspaces.limit(name, limits, actor=BY)
        await self.look()

    async def look(self) -> None:
        """What has changed is known to the gateway."""
        await self.state["key_cache"].refresh()


@asynccontextmanager
async def keyed_gateway(redis_url: str, folder: Path, **given: Any) -> AsyncIterator[Keyed]:
    """`folder`: its data directory; a database is put there unless there is one. `policy`: the
    text of its operator's policy; the others are settings.
    """
    if policy := given.pop("policy", ""):
        given["approval_policy"] = written(folder / "policy.toml", policy)
    defaults: dict[str, Any] = {
        "key_peppers": (Secret(PEPPER),),
        "audit_keys": (Secret(AUDIT_KEY),),
        "encryption_keys": (Secret(ENCRYPTION_KEY),),
    }
    chosen = settings(redis_url, folder, **{**defaults, **given})
    admin = await first_key(chosen)
    states: list[Opened] = []
    server = ListeningServer(create_app(chosen, opened=states.append), host="127.0.0.1", port=0)
    async with running(server) as url, AsyncExitStack() as stack:
        yield Keyed(url, states[0], stack, admin=admin)


def written(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


async def unchecked(url: str) -> None:
    """Every target is allowed."""


async def first_key(chosen: Settings) -> str:
    """An admin's, in the database of these settings; made if there is none."""
    if not exists(chosen):
        put_database(chosen.data_dir)
    async with open_database(*location(chosen)) as database:
        keys = services(
            database,
            audit_keys=audit_keys(chosen),
            pepper=peppers(chosen)[0],
            sealer=Sealer(encryption_keys(chosen)),
            check_target=unchecked,
        ).keys
        return (await keys.create_key("default", KeyRequest("first", "admin"), actor=BY)).secret


def put_database(folder: Path) -> None:
    """One with nothing in it but what migrations put there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(_migrated())


@cache
def _migrated() -> bytes:
    # In a thread, for this one may have a running loop.
    with TemporaryDirectory(prefix="relay-test-") as folder, ThreadPoolExecutor(1) as thread:
        thread.submit(migrate, None, Path(folder)).result()
        return (Path(folder) / FILE).read_bytes()
