"""When a call is tried again: a table, each row with both clients and a server that answers so."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from relay_client import NoAnswer, RelayError, Run, problems
from relay_client.problem_body import FieldError
from relay_client.problems import ForeignAnswer, Problem
from tests.support.clients import Kind, opened
from tests.support.target import Answer, Target, reset, status

RUN = {
    "run_id": "r-1",
    "preview_id": "p-1",
    "action": "webhook.save",
    "provider": "independent",
    "status": "success",
    "started_at": "2026-11-23T04:00:00.000Z",
    "request_id": "q-1",
    "error": None,
    "result": None,
    "a_member_of_tomorrow": 1,
}
NOW = ("Retry-After: 0",)


def run(**members: Any) -> Answer:
    return status(200, json.dumps({**RUN, **members}).encode())


def refusal(number: int, code: str, *headers: str, **members: Any) -> Answer:
    body = {"code": code, "title": code, "status": number, "detail": "Why.", "request_id": "q-1"}
    return status(number, json.dumps({**body, **members}).encode(), *(headers or NOW))


def page(number: int, *headers: str) -> Answer:
    """What a proxy answers that knows nothing of Relay."""
    return status(number, b"<html>Not here</html>", *(headers or NOW))


class Row(NamedTuple):
    """`then`: what the call raises; None if it returns the run. `tries`: how many requests."""

    answers: Sequence[Answer]
    tries: int
    then: type[RelayError] | None = None


OK = run()
UNREACHABLE = refusal(502, "target_unreachable", safe_to_retry=True)
PENDING = {"state": "pending", "needed": 1, "decide_by": RUN["started_at"], "from": ["ann"]}
BROKEN = refusal(500, "internal_error")
TABLE: Mapping[str, Row] = {
    "an answer": Row([OK], 1),
    "an answer that was lost": Row([reset, OK], 2),
    "a page of a proxy": Row([page(502), OK], 2),
    "a page instead of a run": Row([page(200), OK], 2),
    "a page each time": Row([page(503)], 4, ForeignAnswer),
    "a redirect": Row([page(308, "Location: https://other/")], 1, ForeignAnswer),
    "replica_lost": Row([refusal(502, "replica_lost"), OK], 2),
    "replica_silent": Row([refusal(504, "replica_silent"), OK], 2),
    "no_replica": Row([refusal(503, "no_replica"), OK], 2),
    "run_in_progress": Row([refusal(409, "run_in_progress", run_id="r-1"), OK], 2),
    "in progress each time": Row([refusal(409, "run_in_progress")], 4, problems.RunInProgress),
    "store_unavailable": Row([refusal(503, "store_unavailable", safe_to_retry=True), OK], 2),
    "not_ready": Row([refusal(503, "not_ready"), OK], 2),
    "rate_limited": Row([refusal(429, "rate_limited", safe_to_retry=True), OK], 2),
    "a limit of an hour": Row(
        [refusal(429, "rate_limited", "Retry-After: 3600")], 1, problems.RateLimited
    ),
    "target_unreachable": Row([UNREACHABLE, UNREACHABLE, UNREACHABLE, OK], 4),
    "unreachable each time": Row([UNREACHABLE], 4, problems.TargetUnreachable),
    "target_suspended": Row([refusal(503, "target_suspended", safe_to_retry=True), OK], 2),
    "target_forbidden": Row(
        [refusal(422, "target_forbidden", safe_to_retry=True)], 1, problems.TargetForbidden
    ),
    "preview_already_executed": Row(
        [refusal(409, "preview_already_executed", run_id="r-1")],
        1,
        problems.PreviewAlreadyExecuted,
    ),
    "idempotency_key_reused": Row(
        [refusal(422, "idempotency_key_reused", run_id="r-1")], 1, problems.IdempotencyKeyReused
    ),
    "run_expired": Row([refusal(410, "run_expired", run_id="r-1")], 1, problems.RunExpired),
    "approval_pending": Row(
        [refusal(409, "approval_pending", safe_to_retry=True, approval=PENDING)],
        1,
        problems.ApprovalPending,
    ),
    "unknown": Row([run(status="unknown", error={"code": "no_response", "detail": "Why."})], 1),
    "failed": Row([run(status="failed", error={"code": "target_status", "detail": "Why."})], 1),
    "a status of tomorrow": Row([run(status="parked")], 1),
    "internal_error": Row([BROKEN, OK], 2),
    "internal_error twice": Row([BROKEN], 2, problems.InternalError),
    "internal_error after a loss": Row([reset, BROKEN, OK], 3),
    "a code of tomorrow": Row([refusal(409, "of_tomorrow")], 1, Problem),
    "a code of tomorrow that is safe": Row(
        [refusal(409, "of_tomorrow", safe_to_retry=True), OK], 2
    ),
    "a code that is safe but for this once": Row(
        [refusal(503, "store_unavailable", safe_to_retry=False)], 1, problems.StoreUnavailable
    ),
    "another 409 without a code": Row([page(409), OK], 2),
}


@pytest.fixture
def server(target: Target) -> Target:
    return target


def play(server: Target, answers: Sequence[Answer]) -> None:
    """It answers so, and with the last answer from then on."""
    left = list(answers)

    async def answer(reader: Any, writer: Any) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(reader, writer)

    server.answer = answer


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
async def test_a_call_is_tried_as_the_table_says(server: Target, kind: Kind, row: Row) -> None:
    """Every try has the key and the request id of the first."""
    play(server, row.answers)
    raised: RelayError | None = None
    came: Run | None = None
    async with opened(kind, server.url.removesuffix("/hook")) as client:
        try:
            came = await client.execute("p-1", key="order-1")
        except RelayError as error:
            raised = error
    assert type(raised) is (row.then or type(None)), raised
    assert (came is None) == (raised is not None)
    assert len(server.deliveries) == row.tries
    for name in ("idempotency-key", "x-request-id"):
        assert len({delivery.header(name) for delivery in server.deliveries}) == 1
    assert server.deliveries[0].header("idempotency-key") == "order-1"


async def test_a_wait_for_an_approval_is_no_try(server: Target, kind: Kind) -> None:
    """It lasts as long as the caller said, in one request after another of the same call."""
    pending = refusal(409, "approval_pending", safe_to_retry=True, approval=PENDING)
    play(server, [*[pending] * 6, OK])
    async with opened(kind, server.url) as client:
        assert (await client.execute("p-1", wait=25)).status == "success"
        asked = [delivery.header("prefer") for delivery in server.deliveries]
        assert asked == ["wait=25"] * 7
        assert len({delivery.header("x-request-id") for delivery in server.deliveries}) == 1
        play(server, [pending])
        with pytest.raises(problems.ApprovalPending):
            await client.execute("p-1", wait=0)
        assert server.deliveries[-1].header("prefer") == "wait=0"
        assert len(server.deliveries) == 8


async def test_the_gateway_waits_half_a_minute_at_once(server: Target, kind: Kind) -> None:
    play(server, [OK])
    async with opened(kind, server.url) as client:
        await client.execute("p-1", wait=3600)
    assert server.deliveries[0].header("prefer") == "wait=30"


async def test_what_a_refusal_says_is_on_it(server: Target, kind: Kind) -> None:
    errors = [{"pointer": "/params/url", "detail": "Wrong."}]
    play(server, [refusal(409, "approval_pending", "Retry-After: 5", approval=PENDING, run_id="r")])
    async with opened(kind, server.url) as client:
        with pytest.raises(problems.ApprovalPending) as pending:
            await client.execute("p-1")
        play(server, [refusal(422, "invalid_params", errors=errors)])
        with pytest.raises(problems.InvalidParams) as invalid:
            await client.preview("webhook.save")
    said = pending.value
    assert (said.status, said.code, said.run_id) == (409, "approval_pending", "r")
    assert (said.request_id, said.retry_after, said.safe_to_retry) == ("q-1", 5, None)
    assert said.approval
    assert (said.approval.needed, said.approval.approvers) == (1, ["ann"])
    assert invalid.value.errors == (FieldError("/params/url", "Wrong."),)


async def test_a_gateway_that_is_not_there_is_no_answer(kind: Kind) -> None:
    """The message names what the network said."""
    async with opened(kind, "http://127.0.0.1:1", tries=2) as client:
        with pytest.raises(NoAnswer, match="ConnectError"):
            await client.preview("webhook.save")


@pytest.mark.parametrize("key", ["", "a b", "é", "a\nb", "x" * 256])
async def test_a_key_that_no_header_can_carry_is_a_value_error(kind: Kind, key: str) -> None:
    async with opened(kind, "http://127.0.0.1:1") as client:
        with pytest.raises(ValueError, match="1 to 255 visible ASCII"):
            await client.execute("p-1", key=key)


@pytest.mark.parametrize("header", ["authorization", "traceparent"])
async def test_a_request_has_no_header_that_was_not_given(
    server: Target, kind: Kind, header: str
) -> None:
    """No key was given, and this process records no span here."""
    play(server, [OK])
    async with opened(kind, server.url) as client:
        await client.run("r-1")
    with pytest.raises(KeyError):
        server.deliveries[0].header(header)


async def test_a_request_says_who_sends_it(server: Target, kind: Kind) -> None:
    play(server, [OK])
    async with opened(kind, server.url, "rly_live_secret") as client:
        await client.run("../keys")
    [delivery] = server.deliveries
    assert delivery.line == "GET /hook/runs/..%2Fkeys HTTP/1.1"
    assert delivery.header("authorization") == "Bearer rly_live_secret"
    assert delivery.header("user-agent").startswith("relay-client/0.1.0 python/3.")
