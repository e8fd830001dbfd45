"""A gateway whose policy holds every POST, people with keys, and a watched browser."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.browsing import Watched, chromium, key_of
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


@pytest.fixture
async def watched(keyed: Keyed) -> AsyncIterator[Watched]:
    async with chromium() as browser:
        found = Watched(browser, keyed.url)
        yield found
        assert found.complaints == []


@pytest.fixture
async def desk(keyed: Keyed, watched: Watched) -> Desk:
    return Desk(keyed, watched, keyed.client(await key_of(keyed, "operator", "robot")))
