"""What is downloaded is pinned by its digest."""

import json
import re

import pytest

from tests.bench.environments import PEERS, Unavailable, restate_server
from tests.support.agents import LOCK as OF_AGENTS

LOCKS = sorted(PEERS.glob("*.lock"))


def test_each_peer_has_a_lock() -> None:
    assert [lock.stem for lock in LOCKS] == ["dbos", "middleware", "restate"]


@pytest.mark.parametrize("lock", [*LOCKS, OF_AGENTS], ids=lambda lock: lock.stem)
def test_every_package_has_hashes(lock: object) -> None:
    text = (PEERS / str(lock)).read_text()
    pinned = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    assert len(pinned) > 10
    assert [package for package in pinned if "--hash=sha256:" not in package] == []
    assert "://" not in text


def test_the_server_of_restate_has_digests() -> None:
    lock = json.loads((PEERS / "restate-server" / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    assert [name for name, package in packages.items() if "integrity" not in package] == []


def test_without_npm_restate_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unavailable, match="needs npm"):
        restate_server()
