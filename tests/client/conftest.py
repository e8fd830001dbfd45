"""Each test of a client runs with the one that waits and with the one that awaits."""

from collections.abc import AsyncIterator

import pytest

from tests.support.clients import KINDS, Client, Kind, opened
from tests.support.gateways import Relay


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture
async def client(relay: Relay, kind: Kind) -> AsyncIterator[Client]:
    """Of a real gateway that may reach loopback."""
    async with opened(kind, str(relay.base_url)) as client:
        yield client
