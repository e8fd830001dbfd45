"""The examples in docstrings run, against a real gateway and a real target."""

import asyncio
import doctest
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay_client import AsyncRelay, Relay, awaiting, blocking, verify, webhooks
from tests.support import gateways
from tests.support.target import Target

ROOT = Path(__file__).parent.parent.parent
GATEWAY, TARGET = "http://127.0.0.1:8000", "http://127.0.0.1:9000/hook"


def answered(question: str) -> str:
    """What a person types; a terminal shows both."""
    print(f"{question}yes")  # noqa: T201
    return "yes"


@pytest.mark.parametrize(
    ("module", "number"),
    [(blocking, 8), (awaiting, 1), (webhooks, 1)],
    ids=["Relay", "AsyncRelay", "verify"],
)
async def test_the_examples_run(
    module: Any, number: int, relay: gateways.Relay, target: Target
) -> None:
    """With the addresses of this test."""
    here = {GATEWAY: str(relay.base_url).rstrip("/"), TARGET: target.url}
    tests = [found for found in doctest.DocTestFinder().find(module) if found.examples]
    assert len(tests) == number
    with Relay(here[GATEWAY]) as client:
        for test in tests:
            preview = await asyncio.to_thread(client.preview, "webhook.save", url=target.url)
            run = await asyncio.to_thread(client.execute, await preview_of(client, target))
            test.globs = {
                "asyncio": asyncio,
                "AsyncRelay": AsyncRelay,
                "Relay": Relay,
                "relay": client,
                "preview": preview,
                "run": run,
                "verify": verify,
                "input": answered,
            }
            for example in test.examples:
                example.source = placed(example.source, here)
                example.want = placed(example.want, here)
            assert await asyncio.to_thread(failures, test) == ""


@pytest.mark.parametrize("name", ["deploy/guides/clients.md", "deploy/client/README.md"])
async def test_the_programs_of_the_documents_run(
    relay: gateways.Relay, target: Target, name: str
) -> None:
    """Each as a process of its own."""
    here = {GATEWAY: str(relay.base_url).rstrip("/"), TARGET: target.url}
    [program] = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", placed(program, here)), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    warnings = ["The request is not encrypted: the URL is http."]
    assert printed.decode().splitlines() == [
        f"POST {target.url} with 16 bytes of JSON {warnings}",
        "success Result(status_code=200, response='OK', truncated=False)",
    ]
    assert [delivery.body for delivery in target.deliveries] == [b'{"test":"hello"}']


async def preview_of(client: Relay, target: Target) -> Any:
    return await asyncio.to_thread(client.preview, "webhook.save", url=target.url)


def failures(test: doctest.DocTest) -> str:
    told: list[str] = []
    write: Callable[[str], Any] = told.append
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False).run(test, out=write)
    return "".join(told)


def placed(text: str, here: dict[str, str]) -> str:
    for there, this in here.items():
        text = text.replace(there, this)
    return text
