"""Ten thousand requests race for two hundred keys at two gateway processes."""

import asyncio
import json
from collections import Counter

from tests.support.gateways import gateway_process
from tests.support.target import Target
from tests.support.valkey import Valkey
from tests.support.wire import Answer, Connection, previewed

KEYS, RACERS, GROUPS = 200, 50, 4


async def race(connections: list[Connection], url: str, keys: list[str]) -> dict[str, list[Answer]]:
    """Send every request of a key at once; every fifth does not wait."""
    answers = {}
    for key in keys:
        preview_id = await previewed(connections[0], url, key)
        answers[key] = await asyncio.gather(
            *(
                connection.execute(preview_id, key, wait=30 if number % 5 else 0)
                for number, connection in enumerate(connections)
            )
        )
    return answers


async def raced(urls: tuple[str, str], target: Target) -> dict[str, list[Answer]]:
    """The answers of each key. Half of the requests of a key go to each gateway."""
    groups = [
        [await Connection.to(urls[number % 2]) for number in range(RACERS)] for _ in range(GROUPS)
    ]
    keys = [f"key-{number}" for number in range(KEYS)]
    races = await asyncio.gather(
        *(race(group, target.url, keys[number::GROUPS]) for number, group in enumerate(groups))
    )
    for connection in (one for group in groups for one in group):
        await connection.close()
    return {key: answers for answered in races for key, answers in answered.items()}


def check(answers: list[Answer]) -> None:
    """One run, returned to every request that waited. The others are pointed to it."""
    runs = {json.dumps(answer.body | {"request_id": ""}) for answer in answers if answer[0] == 200}
    assert len(runs) == 1
    [run] = map(json.loads, runs)
    assert run["status"] == "success"
    firsts = [one for one in answers if one[0] == 200 and "idempotent-replayed" not in one.headers]
    assert len(firsts) == 1
    for early in (answer for answer in answers if answer.status != 200):
        assert (early.status, early.body["code"]) == (409, "run_in_progress")
        assert early.body["run_id"] == run["run_id"]
        assert early.headers["retry-after"] == "1"


async def test_each_key_makes_one_delivery(valkey: Valkey, target: Target) -> None:
    """200 keys, 50 racing requests each, two processes: 200 deliveries; every answer is
    the run's.
    """
    env = {"REDIS_URL": valkey.url}
    with (
        gateway_process(env) as one,
        gateway_process(env) as other,
    ):
        answers = await raced((one.url, other.url), target)

    assert len(answers) == KEYS
    for racing in answers.values():
        assert len(racing) == RACERS
        check(racing)
    delivered = Counter(json.loads(delivery.body)["key"] for delivery in target.deliveries)
    assert delivered == Counter(answers.keys())
    early = sum(answer.status == 409 for racing in answers.values() for answer in racing)
    assert early > KEYS, "hardly anybody came while a run was in flight: this was no race"
