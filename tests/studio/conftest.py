"""A gateway whose policy holds every POST, people with keys, and a watched browser."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.browsing import Watched, connected, key_of, shared_chromium
from tests.support.desk import Desk
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.valkey import Valkey

POLICY = """
[[rule]]
name = "posts"
when = { methods = ["POST"] }
need = { approvals = 1, from = ["role:approver"] }
"""


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    async with keyed_gateway(valkey.url, tmp_path / "data", policy=POLICY) as opened:
        yield opened


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    with shared_chromium() as found:
        yield found


@pytest.fixture
async def watched(keyed: Keyed, address: str) -> AsyncIterator[Watched]:
    async with connected(address) as browser:
        found = Watched(browser, keyed.url)
        yield found
        assert found.complaints == []


@pytest.fixture
async def desk(keyed: Keyed, watched: Watched) -> Desk:
    return Desk(keyed, watched, keyed.client(await key_of(keyed, "operator", "robot")))
