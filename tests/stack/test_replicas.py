"""Three replicas over one store behind HAProxy are one Relay, also while one of them dies.

HAProxy runs with deploy/haproxy.cfg itself and finds the replicas by DNS. Only addresses differ
from docker-compose.yml: they are given in the environment, as that file allows.
"""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable

import httpx2

from tests.stack.conftest import Stack
from tests.support.gateways import until
from tests.support.held import Gate
from tests.support.stack.replicas import Replica
from tests.support.target import Target


def deliveries(target: Target) -> Counter[str]:
    """How many deliveries each run had at the target."""
    return Counter(delivery.header("webhook-id") for delivery in target.deliveries)


async def executed(stack: Stack, url: str, key: str) -> httpx2.Response:
    return await stack.relay.execute(await stack.relay.preview_id(url), key, wait=0)


async def test_every_replica_runs_and_every_replica_replays(stack: Stack, target: Target) -> None:
    """Executions spread over all three, and each replays the runs of the others."""
    answers = [await executed(stack, target.url, f"order-{number}") for number in range(12)]
    assert {answer.json()["status"] for answer in answers} == {"success"}
    addresses = {replica.address for replica in stack.replicas}
    assert {await served_by(stack, answer) for answer in answers} == addresses

    first, ran = answers[0].json(), await served_by(stack, answers[0])
    replays = [await stack.relay.execute(first["preview_id"], "order-0") for _ in range(6)]
    assert {replay.headers.get("Idempotent-Replayed") for replay in replays} == {"true"}
    assert {replay.json()["run_id"] for replay in replays} == {first["run_id"]}
    assert {await served_by(stack, replay) for replay in replays} >= addresses - {ran}
    assert set(deliveries(target).values()) == {1}


async def served_by(stack: Stack, answer: httpx2.Response) -> str:
    return await stack.who_served(answer.headers["X-Request-ID"])


class Load:
    """`answers` of all requests; `broken`: how many responses broke off."""

    def __init__(self) -> None:
        self.answers: list[httpx2.Response] = []
        self.broken = 0
        self.ended = asyncio.Event()

    async def call(self, stack: Stack, url: str, caller: int) -> None:
        number = 0
        while not self.ended.is_set():
            number += 1
            try:
                self.answers.append(await executed(stack, url, f"order-{caller}-{number}"))
            except httpx2.RemoteProtocolError:
                self.broken += 1

    async def more(self, count: int = 200) -> None:
        wanted = len(self.answers) + count

        async def come() -> bool:
            return len(self.answers) >= wanted

        await until(come)


async def under_load(stack: Stack, target: Target, end: Callable[[], None]) -> Load:
    """Eight callers send requests, from before a replica ends until HAProxy has noticed."""

    async def two_left() -> bool:
        return await stack.servers() == 2

    load = Load()
    async with asyncio.TaskGroup() as callers:
        for caller in range(8):
            callers.create_task(load.call(stack, target.url, caller))
        await load.more()
        end()
        await until(two_left)
        await asyncio.to_thread(stack.replicas[0].process.wait, 20)
        await load.more()
        load.ended.set()
    return load


async def test_killing_a_replica_under_load_fails_no_caller(stack: Stack, target: Target) -> None:
    """Its requests go to another replica, except those with half a response. 409 reports that a run
    of the killed replica is in progress; none is sent twice.
    """
    load = await under_load(stack, target, stack.replicas[0].kill)
    assert {answer.status_code for answer in load.answers} <= {200, 409}
    begun = [answer for answer in load.answers if answer.status_code == 409]
    assert {answer.json()["code"] for answer in begun} <= {"run_in_progress"}
    ended = Counter(line["ended"] for line in stack.haproxy.lines())
    assert (ended.keys() - {"--"}, ended["SD"]) == ({"SD"} if load.broken else set(), load.broken)
    assert len(begun) + load.broken <= 8  # one a caller: what was in flight at that moment

    delivered = deliveries(target)
    sent = [answer.json()["run_id"] for answer in load.answers if answer.status_code == 200]
    assert {delivered[run_id] for run_id in sent} == {1}
    assert set(delivered.values()) == {1}


async def test_stopping_a_replica_under_load_fails_no_caller(stack: Stack, target: Target) -> None:
    """After SIGTERM HAProxy sees the 503 of /ready and uses other replicas before it stops
    listening.
    """
    load = await under_load(stack, target, stack.replicas[0].process.terminate)
    assert load.broken == 0
    assert {answer.status_code for answer in load.answers} == {200}
    assert {answer.json()["status"] for answer in load.answers} == {"success"}
    assert set(deliveries(target).values()) == {1}
    assert {line["retries"] for line in stack.haproxy.lines()} == {"0"}


async def test_a_run_whose_replica_dies_is_in_progress_for_the_others(
    stack: Stack, target: Target
) -> None:
    """Its request goes to another replica, which knows the run and does not send it again."""
    gate = Gate(target)
    asked, ran = await in_flight(stack, target)
    ran.kill()
    answer = await asked
    gate.open.set()
    assert (answer.status_code, answer.json()["code"]) == (409, "run_in_progress")
    assert await served_by(stack, answer) != ran.address
    assert len(target.deliveries) == 1


async def in_flight(stack: Stack, target: Target) -> tuple[asyncio.Task[httpx2.Response], Replica]:
    """An execution that the target does not answer yet, and the replica that sends it."""
    preview_id = await stack.relay.preview_id(target.url)
    asked = asyncio.create_task(stack.relay.execute(preview_id, "order-1", wait=0))
    async with asyncio.timeout(10):
        await target.arrived.wait()
    return asked, await stack.sender()


async def test_a_replica_that_hangs_loses_its_requests(stack: Stack, target: Target) -> None:
    """Under SIGSTOP it accepts connections and answers nothing. HAProxy ends its sessions after two
    checks, long before `timeout server`, and asks another replica.
    """
    gate = Gate(target)
    asked, ran = await in_flight(stack, target)
    ran.process.send_signal(signal.SIGSTOP)
    try:
        async with asyncio.timeout(10):
            answer = await asked
    finally:
        ran.process.send_signal(signal.SIGCONT)
    gate.open.set()
    assert (answer.status_code, answer.json()["code"]) == (409, "run_in_progress")
    assert await served_by(stack, answer) != ran.address
    assert len(target.deliveries) == 1


async def test_a_replica_that_drains_keeps_its_requests(stack: Stack, target: Target) -> None:
    """After SIGTERM HAProxy sends it nothing new, and the run in flight is answered."""

    async def two_left() -> bool:
        return await stack.servers() == 2

    gate = Gate(target)
    asked, ran = await in_flight(stack, target)
    ran.process.terminate()
    await until(two_left)
    gate.open.set()
    async with asyncio.timeout(10):
        answer = await asked
    assert (answer.status_code, answer.json()["status"]) == (200, "success")
    assert await served_by(stack, answer) == ran.address
