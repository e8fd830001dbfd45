"""A gateway with a policy, and the commands of an approver."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import relay
from tests.support.deciding import client_of, key_of
from tests.support.gateways import Relay
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.valkey import Valkey

POLICY = """
[[rule]]
name = "posts"
when = { methods = ["POST"] }
need = { approvals = 1, from = ["role:approver"], reason = "deny" }
[[rule]]
name = "two"
when = { paths = ["/two*"] }
need = { approvals = 2, reason = "always" }
"""


class Desk(NamedTuple):
    """`agent` asks; the commands have the key `ann` unless another is given."""

    keyed: Keyed
    agent: Relay
    ann: str

    async def run(self, *words: str, key: str = "", typed: str = "") -> Result:
        """In a thread, for the gateway answers in this one."""
        env = {"RELAY_API_KEY": key or self.ann, "RELAY_URL": self.keyed.url}
        command = ["approvals", *words]
        return await asyncio.to_thread(CliRunner().invoke, relay, command, input=typed, env=env)


@pytest.fixture
async def desk(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Desk]:
    async with keyed_gateway(valkey.url, tmp_path / "data", policy=POLICY) as keyed:
        agent = await client_of(keyed, "operator", "agent")
        yield Desk(keyed, agent, await key_of(keyed, "approver", "ann"))
