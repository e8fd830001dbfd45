"""What may be asked and what is left of it stands on every answer of the two limited routes."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from gateway.access.limits import key_limits
from stores.redis.limits import Slots
from stores.sql.workspaces import Limits as WorkspaceLimits
from tests.support.admissions import LIMITS
from tests.support.gateways import Relay
from tests.support.held import held
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.target import Target
from tests.support.valkey import Valkey

# One comes back each 10 s and each 12: none within a test.
PREVIEWS, EXECUTES = 6, 5
ORIGIN = "https://studio.example.com"
CLOSED = "http://127.0.0.1:1/"  # no server listens there


class Told(NamedTuple):
    """`seconds`: until all is there again."""

    bound: str
    left: int
    seconds: int


def told(answer: httpx2.Response) -> Told:
    said = re.fullmatch(r'"(key|workspace)";r=(\d+);t=(\d+)', answer.headers["RateLimit"])
    assert said, answer.headers["RateLimit"]
    return Told(said[1], int(said[2]), int(said[3]))


def policy(key: int, workspace: int) -> str:
    return f'"key";q={key};w=60, "workspace";q={workspace};w=60'


def code(answer: httpx2.Response) -> tuple[int, str | None]:
    return answer.status_code, answer.json().get("code")


@asynccontextmanager
async def limiting(url: str, folder: Path, **settings: object) -> AsyncIterator[Keyed]:
    limits = {"preview_limit": PREVIEWS, "execute_limit": EXECUTES, "cors_origins": (ORIGIN,)}
    async with keyed_gateway(url, folder, **{**limits, **settings}) as opened:
        yield opened


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    async with limiting(valkey.url, tmp_path) as opened:
        yield opened


async def test_each_answer_to_a_preview_says_what_is_left(keyed: Keyed, target: Target) -> None:
    """Only what is inspected is paid for; what is refused before that says what was last known."""
    relay = keyed.relay
    malformed: Any = {"content": "{", "headers": {"Content-Type": "application/json"}}
    unknown: Any = {"json": {"action": "no.such", "params": {}}}
    answers = [
        await relay.post("/actions/preview", **malformed),
        await relay.preview(target.url),
        await relay.post("/actions/preview", **malformed),
        await relay.post("/actions/preview", **unknown),
        await relay.preview("http://10.1.1.1/"),
        *[await relay.preview(target.url) for _ in range(5)],
        await relay.post("/actions/preview", **unknown),
    ]
    assert [(*code(answer), told(answer).left) for answer in answers] == [
        (400, "malformed_json", 6),
        (200, None, 5),
        (400, "malformed_json", 5),
        (422, "unknown_action", 5),
        (422, "target_forbidden", 4),
        *[(200, None, left) for left in (3, 2, 1, 0)],
        (429, "rate_limited", 0),
        (422, "unknown_action", 0),
    ]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {policy(6, 6)}
    assert [told(answer).seconds for answer in (answers[0], answers[1], answers[5])] == [0, 10, 30]


async def test_each_answer_to_an_execution_says_what_is_left(keyed: Keyed, target: Target) -> None:
    """Only a run is paid for: no replay, no refusal."""
    relay = keyed.relay
    used, other, away = [
        *[await relay.preview_id(target.url) for _ in range(2)],
        await relay.preview_id(CLOSED),
    ]
    answers = [
        await relay.execute(used, "not one\tword"),
        await relay.execute(used, "order-1"),
        await relay.execute(used, "order-1"),
        await relay.execute("no-such-preview"),
        await relay.execute(used, "order-2"),
        await relay.execute(other, "order-1"),
        await relay.execute(away, "order-3"),
    ]
    assert [(*code(answer), told(answer).left) for answer in answers] == [
        (400, "invalid_idempotency_key", 5),
        (200, None, 4),
        (200, None, 4),
        (404, "preview_not_found", 4),
        (409, "preview_already_executed", 4),
        (422, "idempotency_key_reused", 4),
        (502, "target_unreachable", 3),
    ]
    assert answers[2].headers["Idempotent-Replayed"] == "true"
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {policy(5, 5)}


async def test_an_exceeded_limit_names_the_time_of_the_next_try(
    keyed: Keyed, target: Target
) -> None:
    """429 with Retry-After: within one interval; a replay is answered all the same."""
    preview_id = await keyed.relay.preview_id(CLOSED)
    run = await keyed.relay.execute(await keyed.relay.preview_id(target.url), "order-1")
    while (answer := await keyed.relay.execute(preview_id)).status_code == 502:
        pass
    assert code(answer) == (429, "rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60 // EXECUTES
    assert told(answer)[:2] == ("key", 0)
    assert 60 - 60 // EXECUTES < told(answer).seconds <= 60
    assert answer.json()["safe_to_retry"] is True

    again = await keyed.relay.execute("gone", "order-1")
    assert (again.status_code, told(again).left) == (200, 0)
    assert again.json()["run_id"] == run.json()["run_id"]


async def test_keys_share_what_the_workspace_has(keyed: Keyed, target: Target) -> None:
    """The answer names the bucket that has less; the limit is the workspace's own."""
    await keyed.workspace("small", preview=3)
    first, second = [keyed.client(await keyed.key("operator", workspace="small")) for _ in range(2)]
    answers = [await relay.preview(target.url) for relay in (first, second, second, first)]
    assert [(answer.status_code, *told(answer)[:2]) for answer in answers] == [
        (200, "workspace", 2),
        (200, "workspace", 1),
        (200, "workspace", 0),
        (429, "workspace", 0),
    ]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {policy(6, 3)}
    assert (await keyed.relay.preview(target.url)).status_code == 200


async def test_a_preflight_spends_nothing(keyed: Keyed, target: Target) -> None:
    """And says nothing; a page may read what answers say."""
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    for path in ("/actions/preview", "/actions/execute") * PREVIEWS:
        preflight = await keyed.client().options(path, headers=asked)
        assert preflight.status_code == 200
        assert "RateLimit" not in preflight.headers
    keyed.relay.headers["Origin"] = ORIGIN
    answer = await keyed.relay.preview(target.url)
    assert told(answer).left == PREVIEWS - 1
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= set(exposed)


async def test_other_routes_and_unauthenticated_callers_get_no_limits(keyed: Keyed) -> None:
    """Who has no key has no quota."""
    stranger = keyed.client()
    answers: Sequence[httpx2.Response] = [
        await keyed.relay.get("/actions"),
        await keyed.relay.get("/runs"),
        await keyed.relay.get("/actions/preview"),
        await stranger.preview("http://example.com/"),
        await stranger.execute("p-1"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 405, 401, 401]
    assert not any("RateLimit" in answer.headers for answer in answers)


async def test_without_limits_no_header_is_sent(
    valkey: Valkey, tmp_path: Path, target: Target
) -> None:
    """RATE_LIMIT_ENABLED=false: only the concurrency slots still limit."""
    given = {"rate_limit_enabled": False, "runs_at_once": 1}
    async with limiting(valkey.url, tmp_path, **given) as keyed:
        answers = [await keyed.relay.preview(target.url) for _ in range(PREVIEWS + 2)]
        answers.append(await keyed.relay.execute(answers[0].json()["preview_id"]))
        first = await held(keyed.relay, target, "order-1")
        full = await keyed.relay.execute(answers[1].json()["preview_id"])
        answers.append(await first.end())
    assert {answer.status_code for answer in answers} == {200}
    assert code(full) == (429, "rate_limited")
    assert not any("ratelimit" in name for answer in answers for name in answer.headers)


async def test_an_unknown_quota_is_the_smaller_limit(keyed: Keyed) -> None:
    """Of the first request that is refused before the store is asked."""
    await keyed.workspace("small", preview=3)
    relay = keyed.client(await keyed.key("operator", workspace="small"))
    answer = await relay.post("/actions/preview", json={"action": "no.such", "params": {}})
    assert told(answer) == ("workspace", 3, 0)


# What the settings say, what the workspace has of its own, and the slots that follow.
SLOTS: list[tuple[dict[str, Any], WorkspaceLimits, Slots]] = [
    ({}, WorkspaceLimits(), Slots(100, 50)),
    ({"runs_at_once": 20}, WorkspaceLimits(), Slots(20, 10)),
    ({"runs_at_once": 1}, WorkspaceLimits(), Slots(1, 1)),
    ({"runs_at_once_per_target": 100}, WorkspaceLimits(), Slots(100, 100)),
    ({}, WorkspaceLimits(runs_at_once=10), Slots(10, 5)),
    ({"runs_at_once_per_target": 100}, WorkspaceLimits(runs_at_once=10), Slots(10, 5)),
    ({"runs_at_once_per_target": 3}, WorkspaceLimits(runs_at_once=10), Slots(10, 3)),
    ({}, WorkspaceLimits(runs_at_once=10, runs_at_once_per_target=9), Slots(10, 9)),
    ({}, WorkspaceLimits(runs_at_once_per_target=9), Slots(100, 9)),
]


def test_one_target_gets_half_of_the_slots_by_default() -> None:
    """However few there are in all."""
    for given, own, slots in SLOTS:
        defaults = LIMITS._replace(**given)
        assert key_limits(defaults, own).slots == slots, (given, own)


async def test_without_the_store_nothing_is_sent_and_the_rest_is_read(
    own_valkey: Valkey, tmp_path: Path, target: Target
) -> None:
    """503 on both limited routes, with what was last known; what needs no store answers."""
    async with limiting(own_valkey.url, tmp_path) as keyed:
        preview_id = await keyed.relay.preview_id(target.url)
        own_valkey.stop()
        answers = [await keyed.relay.preview(target.url), await keyed.relay.execute(preview_id)]
        assert [(*code(answer), told(answer).left) for answer in answers] == [
            (503, "store_unavailable", PREVIEWS - 1),
            (503, "store_unavailable", EXECUTES),
        ]
        assert not target.deliveries
        assert await statuses(keyed.relay) == {200}
        own_valkey.start()  # or the close waits for it


async def statuses(relay: Relay) -> set[int]:
    paths = ("/actions", "/runs", "/audit", "/keys", "/health", "/version", "/openapi.json")
    return {(await relay.get(path)).status_code for path in paths}
