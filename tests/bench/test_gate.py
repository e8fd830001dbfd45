"""The short row of `.ci/run`, on real servers: a delay makes it red."""

import sys

import pytest

from tests.bench.gate import judged
from tests.bench.records import fill
from tests.bench.session import rigged
from tests.bench.subjects import Rig, Subject, relay, start

# Each starts servers and waits for them to come to rest, beside four other tests.
pytestmark = pytest.mark.timeout(120)


def again(rig: Rig, **env: str) -> Subject:
    command = [sys.executable, "-m", "uvicorn", "tests.bench.floor:app", "--log-level", "warning"]
    subject = start(rig, "other", command, env)
    return subject._replace(replay_path="/actions/replay")


async def test_the_floor_beside_itself_is_as_fast() -> None:
    judgement = await judged(rounds=1, requests=200, subject=again)
    assert not judgement.lost, judgement.text()


async def test_a_delay_in_every_request_is_seen() -> None:
    """The floor with 20 ms of work more in every request, beside the floor."""
    judgement = await judged(
        rounds=1, requests=200, subject=lambda rig: again(rig, BENCH_BURN_SECONDS="0.02")
    )
    assert judgement.lost, judgement.text()
    assert judgement.text().startswith("LOST")


async def test_copied_records_are_as_those_of_a_run() -> None:
    """They expire, are as large, and Relay answers for a copied run."""
    with rigged() as (rig, _):
        subject = relay(rig)
        filled = await fill(subject, rig.sink, 200)
        assert subject.store
        with subject.store.client() as client:
            runs = list(client.scan_iter("*:run:*"))
            assert len(runs) == 200
            assert all(client.pttl(key) > 0 for key in runs)
            kept = sum(client.memory_usage(key) for key in runs) / len(runs)
    assert kept < filled.bytes_each < 10 * kept
