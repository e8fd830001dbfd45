"""One Prometheus for every test that only reads the past."""

from collections.abc import Iterator

import pytest

from tests.support.gate_cases import history
from tests.support.prometheus import prometheus


@pytest.fixture(scope="package")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Prometheus that holds all the cases."""
    with prometheus(tmp_path_factory.mktemp("prometheus"), history=history()) as url:
        yield url
