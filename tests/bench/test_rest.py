"""A subject is at rest only when its outbox is empty and its process idles."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench.processes import Process
from tests.bench.rest import OUTBOX, at_rest
from tests.bench.subjects import Subject
from tests.support.valkey import Valkey


@contextmanager
def running(*command: str) -> Iterator[Process]:
    with subprocess.Popen(command) as process:
        os.sched_setaffinity(process.pid, {0})
        try:
            yield Process(process.pid)
        finally:
            process.kill()


async def resting(subject: Subject, seconds: float) -> bool:
    """Whether it comes to rest within these seconds."""
    try:
        async with asyncio.timeout(seconds):
            await at_rest(subject)
    except TimeoutError:
        return False
    return True


async def test_an_idle_process_without_outbox_is_at_rest(own_valkey: Valkey) -> None:
    with running("sleep", "30") as process:
        assert await resting(Subject("idle", 0, process, own_valkey), 10)


async def test_an_entry_that_waits_is_no_rest(own_valkey: Valkey) -> None:
    with running("sleep", "30") as process, own_valkey.client() as client:
        subject = Subject("waiting", 0, process, own_valkey)
        client.xadd(OUTBOX, {"entry": "{}"}, id="1-1")
        assert not await resting(subject, 1.5)
        client.xdel(OUTBOX, "1-1")
        assert await resting(subject, 10)


async def test_a_busy_process_is_no_rest() -> None:
    with running(sys.executable, "-c", "while True: pass") as process:
        while process.cpu_seconds() < 0.3:
            await asyncio.sleep(0.01)
        assert not await resting(Subject("busy", 0, process), 1.5)
