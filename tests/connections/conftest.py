"""A workspace with one connection."""

from collections.abc import AsyncIterator

import pytest

from tests.support.accounts import Office
from tests.support.target import listening


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    async with listening() as target:
        yield Office(target)
