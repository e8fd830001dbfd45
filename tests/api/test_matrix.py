"""Every route, for every role, with every kind of id: answered as the table says; 0 leaks."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from gateway.admin.channels import ChannelRequest
from gateway.admin.static_credentials import StaticRequest
from gateway.api.routes import ENDPOINTS
from gateway.config.secret import Secret
from stores.redis.client import Store
from tests.support.keyed import BY, Keyed, keyed_gateway
from tests.support.matrix import (
    NO_SUCH,
    ROLES,
    TABLE,
    UNKNOWN,
    Answer,
    Asking,
    Ids,
    expected,
    given,
    keys_of_roles,
    spare_key,
)
from tests.support.shipping import shipped
from tests.support.target import Target
from tests.support.valkey import Valkey

OWN, FOREIGN, UNKNOWN_ID = "own", "foreign", "unknown"
Cell = tuple[str, str, str]
# What differs between two answers to the same question.
OF_THE_MOMENT = frozenset({"date", "x-trace-link", "ratelimit"})
# Routes that show data of a workspace.
READINGS = [
    route
    for route, row in TABLE.items()
    if route.startswith("GET") and "401" in row and "404" not in row
]


def test_every_endpoint_has_a_row() -> None:
    """And every row has its endpoint."""
    assert {f"{endpoint.method} {endpoint.path}" for endpoint in ENDPOINTS} == set(TABLE)


def test_every_row_states_every_role() -> None:
    """None is left out, and whatever takes an id says what it answers to one that is not there.
    A page of Studio is the same for every id.
    """
    assert {len(row.split()) for row in TABLE.values()} == {len(ROLES)}
    takes_ids = {route for route in TABLE if "{" in route and "/studio/" not in route}
    assert set(NO_SUCH) == takes_ids | {"POST /actions/execute"}


class ChainWalk:
    """All cells, asked once. `ours` asks; `theirs` is the other workspace's."""

    def __init__(self, keyed: Keyed, target: Target) -> None:
        self.keyed = keyed
        self.target = target
        self.principal = Asking(keyed.client(), f"{target.url}?of=ours")
        self.answers: dict[Cell, httpx2.Response] = {}
        self.ours: dict[str, str | None] = {}
        self.theirs: dict[str, str | None] = {}

    async def prepare(self) -> None:
        for workspace in ("ours", "theirs"):
            await self.keyed.workspace(workspace)
        self.ours = await keys_of_roles(self.keyed, "ours")
        self.theirs = await keys_of_roles(self.keyed, "theirs")

    async def ids(self, workspace: str) -> Ids:
        """A preview, a run and a key of this workspace."""
        keys = self.ours if workspace == "ours" else self.theirs
        relay = self.keyed.client(keys["operator"])
        url = f"{self.target.url}?of={workspace}"
        run = await relay.execute(await relay.preview_id(url))
        key = await spare_key(self.keyed, workspace)
        wanted = ChannelRequest("given", url)
        channels = (await self.keyed.services()).channels
        channel = await channels.create_channel(workspace, wanted, actor=BY)
        static = StaticRequest("given", "bearer", Secret(b"s"), ["api.example.com"])
        connections = (await self.keyed.services()).connections
        connection = await connections.create_static(workspace, static, actor=BY)
        preview_id = await relay.preview_id(url)
        return Ids(preview_id, run.json()["run_id"], key.key.id, channel.id, connection.id)

    async def ask(self, foreign: Ids, store: Store) -> None:
        own = await self.ids("ours")
        await shipped(store, self.keyed.state)
        for route in TABLE:
            for role in ROLES:
                ids = {OWN: await self._unspent(route, own)}
                if route in NO_SUCH:
                    ids |= {FOREIGN: foreign, UNKNOWN_ID: UNKNOWN}
                for whose, which in ids.items():
                    answer = await self.principal(route, self.ours[role], which)
                    self.answers[route, role, whose] = answer

    async def _unspent(self, route: str, own: Ids) -> Ids:
        """What the last who asked may have spent is another one for the next."""
        if "key_id" in route:
            return own._replace(key_id=(await spare_key(self.keyed, "ours")).key.id)
        if route == "POST /actions/execute":
            relay = self.keyed.client(self.ours["operator"])
            return own._replace(preview_id=await relay.preview_id(f"{self.target.url}?of=ours"))
        return own

    async def told(self, theirs: Ids) -> dict[str, str]:
        """All answers to the admin of the other workspace."""
        admin = self.theirs["admin"]
        answers = {route: await self.principal(route, admin, theirs) for route in READINGS}
        assert {answer.status_code for answer in answers.values()} == {200}
        return {route: answer.text for route, answer in answers.items()}

    def wrong(self) -> dict[Cell, tuple[Answer, Answer]]:
        """What was answered, and what the table says."""
        return {
            cell: (given(answer), expected(*cell))
            for cell, answer in self.answers.items()
            if given(answer) != expected(*cell)
        }

    def told_apart(self) -> list[Cell]:
        """Where a foreign id is answered otherwise than an unknown one."""
        return [
            (route, role, whose)
            for (route, role, whose), answer in self.answers.items()
            if whose == FOREIGN and seen(answer) != seen(self.answers[route, role, UNKNOWN_ID])
        ]

    def leaks(self, marks: set[str]) -> list[tuple[Cell, str]]:
        return [
            (cell, mark)
            for cell, answer in self.answers.items()
            for mark in marks
            if mark in answer.text + str(answer.headers)
        ]


def seen(answer: httpx2.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    headers = [item for item in answer.headers.multi_items() if item[0] not in OF_THE_MOMENT]
    return answer.status_code, answer.content, headers


@pytest.fixture
async def walk(valkey: Valkey, tmp_path: Path, target: Target) -> AsyncIterator[ChainWalk]:
    async with keyed_gateway(valkey.url, tmp_path) as keyed:
        walk = ChainWalk(keyed, target)
        await walk.prepare()
        yield walk


async def test_every_cell_is_as_the_table_says_and_none_leaks(
    walk: ChainWalk, store: Store
) -> None:
    """A foreign id is answered byte for byte as an unknown one, and nothing of the other
    workspace stands in any answer; what is there is as it was.
    """
    theirs = await walk.ids("theirs")
    await shipped(store, walk.keyed.state)
    marks = {theirs.preview_id, theirs.run_id, theirs.key_id, "theirs"}
    told = await walk.told(theirs)
    assert marks == {mark for mark in marks for text in told.values() if mark in text}

    await walk.ask(theirs, store)
    assert walk.wrong() == {}
    assert walk.told_apart() == []
    assert walk.leaks(marks) == []
    after = await walk.told(theirs)
    del told["GET /audit"], after["GET /audit"]  # which tells of the first reading
    assert after == told
    assert sum("theirs" in delivery.line for delivery in walk.target.deliveries) == 1
